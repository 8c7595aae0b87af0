// SPDX-License-Identifier: MIT
// sqrt, rsqrt(x) = 1/sqrt(x) and reciprocal(x) = 1/x: algebraic, decided by exact remainders, for
// every float64 operand and every format.
//
// Square roots digit by digit: two digits of the radicand give one of the root, and the remainder
// says whether there is more. 96 digits: more than 53 + 33 that any rounding looks at. sqrt(x) is
// exact where the remainder is 0; rsqrt(x) only for x = 4^k (1/sqrt(x) = a 2^b, a odd, means x a^2
// = 2^-2b, so a = 1).
#pragma once

#include "rounding_test.h"

namespace fpdet::inline FPDET_TARGET {

class RootDigits {
 public:
  // The next two digits of the radicand, 0 <= pair <= 3.
  FPDET_HD constexpr void push(unsigned pair) {
    remainder_ = (remainder_ << 2) | pair;
    const uint128 trial = (root_ << 2) | 1;
    root_ <<= 1;
    if (remainder_ >= trial) {
      remainder_ -= trial;
      root_ |= 1;
    }
  }
  FPDET_HD constexpr uint128 root() const { return root_; }
  FPDET_HD constexpr bool exact() const { return remainder_ == 0; }

 private:
  uint128 root_ = 0;
  uint128 remainder_ = 0;  // radicand so far - root^2 <= 2 root
};

inline constexpr int kRootDigits = 96;

// x > 0 finite as m 4^half, 2^52 <= m < 2^54.
struct EvenBinary {
  uint64_t m;
  int half;
};
FPDET_HD constexpr EvenBinary even_binary(double x) {
  const Unpacked u = unpack(x);
  const auto digits = static_cast<uint64_t>(u.significand >> 75);
  const bool odd = (u.exponent & 1) != 0;
  return {odd ? digits << 1 : digits, (u.exponent - (odd ? 1 : 0) - 52) / 2};
}

FPDET_HD constexpr Unpacked sqrt_unpacked(double x) {
  const EvenBinary even = even_binary(x);
  RootDigits digits;
  for (int i = 26; i > 26 - kRootDigits; --i) {
    digits.push(i >= 0 ? static_cast<unsigned>(even.m >> (2 * i)) & 3u : 0u);
  }
  return {false, even.half + 26, (digits.root() << 32) | (digits.exact() ? 0u : 1u)};
}

FPDET_HD constexpr Unpacked rsqrt_unpacked(double x) {
  const EvenBinary even = even_binary(x);
  if (even.m == uint64_t{1} << 52) return {false, -26 - even.half, static_cast<uint128>(1) << 127};
  // sqrt(2^54 / m), of which the quotient (1, 4) begins with the digits of 2^54 / m.
  RootDigits digits;
  uint64_t dividend = uint64_t{1} << 54;
  for (int i = 0; i < kRootDigits; ++i) {
    digits.push(static_cast<unsigned>(dividend / even.m));
    dividend = (dividend % even.m) << 2;
  }
  return {false, -27 - even.half, (digits.root() << 32) | 1};
}

FPDET_HD constexpr Unpacked reciprocal_unpacked(double x) {
  return exact_quotient(unpack(1.0), unpack(x));
}

// The same, rounded to odd to 53 digits, from operations to nearest: the remainder of each is a
// float64 number (Boldo), zero where the result is exact. For float32 x in the domain, 0 elsewhere.
//
// `nearest` with its last digit made odd by a step towards the sign of `error`, if that is not 0.
FPDET_HD inline double odd_of(double nearest, double error) {
  const uint64_t bits = to_bits(nearest);
  const uint64_t inexact = magnitude_bits(error) != 0 ? 1 : 0;
  const uint64_t opposite = (to_bits(error) ^ bits) >> 63;
  return from_bits(bits + (inexact & ~bits) * (1 - 2 * opposite));
}
FPDET_HD inline double ieee_sqrt(double x) {
#if defined(__CUDA_ARCH__)
  return __dsqrt_rn(x);
#else
  return std::sqrt(x);
#endif
}
FPDET_HD inline double sqrt_fast(double x) {
  const double root = ieee_sqrt(x);
  const double odd = odd_of(root, ieee_fma(-root, root, x));
  return x > 0.0 && x < 0x1p128 ? odd : 0.0;
}
FPDET_HD inline double reciprocal_fast(double x) {
  const double quotient = 1.0 / x;
  // 1/x - quotient has the sign of this remainder times that of x.
  const double remainder = ieee_fma(-quotient, x, 1.0);
  const double odd = odd_of(quotient, is_negative(x) ? -remainder : remainder);
  return magnitude(x) > 0.0 && magnitude(x) < 0x1p128 ? odd : 0.0;
}
// Two roundings: below 1.6 u.
FPDET_HD inline double rsqrt_fast(double x) {
  const double value = 1.0 / ieee_sqrt(x);
  return x > 0.0 && x < 0x1p128 ? value : 0.0;
}

}  // namespace fpdet::inline FPDET_TARGET
