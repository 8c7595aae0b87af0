// SPDX-License-Identifier: MIT
// Division of term numbers by the digits of a radix, without a division (Granlund and Montgomery,
// "Division by invariant integers using multiplication", PLDI 1994). A term number is below 2^31.
#pragma once

#include <cstdint>

#include "../core/contraction.h"

namespace fpdet::cuda {

struct Divisor {
  uint32_t divisor = 1, multiplier = 0;
  int shift = 0;

  Divisor() = default;
  /// 1 <= d <= 2^31. With s = ceil(log2 d) and m = floor(2^(31 + s) / d) + 1, m d exceeds 2^(31 +
  /// s) by at most d <= 2^s, so floor(n m / 2^(31 + s)) is floor(n / d) for all n below 2^31.
  explicit Divisor(int64_t d) : divisor(static_cast<uint32_t>(d)) {
    int s = 0;
    while ((int64_t{1} << s) < d) ++s;
    shift = 31 + s;
    multiplier = static_cast<uint32_t>((uint64_t{1} << shift) / static_cast<uint64_t>(d) + 1);
  }

  FPDET_HD uint32_t quotient(uint32_t n) const {
    return static_cast<uint32_t>((uint64_t{n} * multiplier) >> shift);
  }
};

/// Digits::decode of numbers below 2^31, as are all digits.
struct TermRadix {
  Divisor d[kDigits];

  TermRadix() = default;
  explicit TermRadix(const Digits& radix) {
    for (int i = 1; i < kDigits; ++i) d[i] = Divisor(radix.d[i] > 0 ? radix.d[i] : 1);
  }

  FPDET_HD Digits decode(int64_t number) const {
    Digits digits;
    auto rest = static_cast<uint32_t>(number);
    FPDET_UNROLL_ALL
    for (int i = kDigits - 1; i > 0; --i) {
      const uint32_t quotient = d[i].quotient(rest);
      digits.d[i] = static_cast<int64_t>(rest - quotient * d[i].divisor);
      rest = quotient;
    }
    digits.d[0] = static_cast<int64_t>(rest);
    return digits;
  }
};

}  // namespace fpdet::cuda
