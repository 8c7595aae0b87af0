// SPDX-License-Identifier: MIT
// Philox4x32-10: a counter-based random function, 128 bits of counter and 64 bits of key to 128
// bits. Ten rounds of (x0,x1,x2,x3) -> (hi(M1 x2)^x1^k0, lo(M1 x2), hi(M0 x0)^x3^k1, lo(M0 x0)),
// the key stepping by two Weyl constants between rounds. Source: Salmon, Moraes, Dror, Shaw,
// "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include "config.h"

namespace fpdet::inline FPDET_TARGET {

template <class U>
struct PhiloxKeyOf {
  U k0, k1;

  FPDET_HD_INLINE constexpr U first() const { return k0; }
  FPDET_HD_INLINE constexpr U second() const { return k1; }
  // From one round to the next.
  FPDET_HD_INLINE constexpr void step() {
    k0 = k0 + 0x9E3779B9u;
    k1 = k1 + 0xBB67AE85u;
  }
};
template <class U>
struct PhiloxBlockOf {
  U w0, w1, w2, w3;
};
using PhiloxKey = PhiloxKeyOf<uint32_t>;
using PhiloxBlock = PhiloxBlockOf<uint32_t>;

template <class U>
struct WideProduct {
  U high, low;
};
FPDET_HD constexpr WideProduct<uint32_t> wide_product(uint32_t x, uint32_t multiplier) {
  const uint64_t product = static_cast<uint64_t>(x) * multiplier;
  return {static_cast<uint32_t>(product >> 32), static_cast<uint32_t>(product)};
}

/// U is uint32_t, or a kernel's vector of words with its own wide_product; Key has first, second
/// and step.
template <class Key, class U>
FPDET_HD_INLINE constexpr PhiloxBlockOf<U> philox(Key key, const PhiloxBlockOf<U>& counter) {
  PhiloxBlockOf<U> x = counter;
  FPDET_UNROLL
  for (int round = 0; round < 10; ++round) {
    const WideProduct<U> product0 = wide_product(x.w0, 0xD2511F53u);
    const WideProduct<U> product1 = wide_product(x.w2, 0xCD9E8D57u);
    // Of what is at hand first: a round waits for its products.
    x = PhiloxBlockOf<U>{product1.high ^ (x.w1 ^ key.first()), product1.low,
                         product0.high ^ (x.w3 ^ key.second()), product0.low};
    key.step();
  }
  return x;
}

FPDET_HD constexpr uint32_t low_word(uint64_t x) { return static_cast<uint32_t>(x); }
FPDET_HD constexpr uint32_t high_word(uint64_t x) { return static_cast<uint32_t>(x >> 32); }
FPDET_HD constexpr PhiloxKey philox_key(uint64_t seed) {
  return PhiloxKey{low_word(seed), high_word(seed)};
}

// Known answers of the authors' Random123 distribution.
static_assert(philox(PhiloxKey{0, 0}, PhiloxBlock{0, 0, 0, 0}).w0 == 0x6627e8d5u &&
              philox(PhiloxKey{0, 0}, PhiloxBlock{0, 0, 0, 0}).w3 == 0x9b00dbd8u);
static_assert(philox(PhiloxKey{0xa4093822u, 0x299f31d0u},
                     PhiloxBlock{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u})
                  .w0 == 0xd16cfe09u);

}  // namespace fpdet::inline FPDET_TARGET
