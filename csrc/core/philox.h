// SPDX-License-Identifier: MIT
// Philox4x32-10: a counter-based random function, 128 bits of counter and 64 bits of key to 128
// bits. Ten rounds of (x0,x1,x2,x3) -> (hi(M1 x2)^x1^k0, lo(M1 x2), hi(M0 x0)^x3^k1, lo(M0 x0)),
// the key stepping by two Weyl constants between rounds. Source: Salmon, Moraes, Dror, Shaw,
// "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include "config.h"

namespace fpdet::inline FPDET_TARGET {

struct PhiloxKey {
  uint32_t k0, k1;
};

struct PhiloxBlock {
  uint32_t w0, w1, w2, w3;
};

FPDET_HD constexpr PhiloxBlock philox(PhiloxKey key, PhiloxBlock counter) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53u;
  constexpr uint64_t kMultiplier1 = 0xCD9E8D57u;
  constexpr uint32_t kWeyl0 = 0x9E3779B9u;
  constexpr uint32_t kWeyl1 = 0xBB67AE85u;
  PhiloxBlock x = counter;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * x.w0;
    const uint64_t product1 = kMultiplier1 * x.w2;
    x = PhiloxBlock{
        static_cast<uint32_t>(product1 >> 32) ^ x.w1 ^ key.k0, static_cast<uint32_t>(product1),
        static_cast<uint32_t>(product0 >> 32) ^ x.w3 ^ key.k1, static_cast<uint32_t>(product0)};
    key.k0 += kWeyl0;
    key.k1 += kWeyl1;
  }
  return x;
}

FPDET_HD constexpr uint32_t low_word(uint64_t x) { return static_cast<uint32_t>(x); }
FPDET_HD constexpr uint32_t high_word(uint64_t x) { return static_cast<uint32_t>(x >> 32); }
FPDET_HD constexpr PhiloxKey philox_key(uint64_t seed) {
  return PhiloxKey{low_word(seed), high_word(seed)};
}

// Known answers of the authors' Random123 distribution.
static_assert(philox({0, 0}, {0, 0, 0, 0}).w0 == 0x6627e8d5u &&
              philox({0, 0}, {0, 0, 0, 0}).w3 == 0x9b00dbd8u);
static_assert(
    philox({0xa4093822u, 0x299f31d0u}, {0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}).w0 ==
    0xd16cfe09u);

}  // namespace fpdet::inline FPDET_TARGET
