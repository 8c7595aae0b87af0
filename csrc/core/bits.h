// SPDX-License-Identifier: MIT
// Bit patterns: reinterpretation, classification and widening by integer operations only, so that
// no ambient floating-point state (flush-to-zero, denormals-are-zero) can touch a value. Layouts:
// IEEE 754 binary16, binary32, binary64 and bfloat16 (the upper half of binary32).
#pragma once

#include "config.h"

namespace fpdet::inline FPDET_TARGET {

FPDET_HD constexpr uint32_t to_bits(float x) { return __builtin_bit_cast(uint32_t, x); }
FPDET_HD constexpr uint64_t to_bits(double x) { return __builtin_bit_cast(uint64_t, x); }
FPDET_HD constexpr float from_bits(uint32_t bits) { return __builtin_bit_cast(float, bits); }
FPDET_HD constexpr double from_bits(uint64_t bits) { return __builtin_bit_cast(double, bits); }

inline constexpr uint64_t kSignBit = uint64_t{1} << 63;
inline constexpr uint64_t kInfinityBits = uint64_t{0x7ff} << 52;
inline constexpr uint64_t kCanonicalNanBits = uint64_t{0x7ff8} << 48;

FPDET_HD constexpr uint64_t magnitude_bits(double x) { return to_bits(x) & ~kSignBit; }
FPDET_HD constexpr bool is_negative(double x) { return (to_bits(x) & kSignBit) != 0; }
FPDET_HD constexpr bool is_nan(double x) { return magnitude_bits(x) > kInfinityBits; }
FPDET_HD constexpr bool is_infinite(double x) { return magnitude_bits(x) == kInfinityBits; }
FPDET_HD constexpr bool is_zero(double x) { return magnitude_bits(x) == 0; }
FPDET_HD constexpr double canonical_nan() { return from_bits(kCanonicalNanBits); }
FPDET_HD constexpr double infinity(bool negative) {
  return from_bits(kInfinityBits | (negative ? kSignBit : 0));
}
FPDET_HD constexpr double zero(bool negative) {
  return from_bits(negative ? kSignBit : uint64_t{0});
}
FPDET_HD constexpr double with_sign(double magnitude, bool negative) {
  return from_bits(magnitude_bits(magnitude) | (negative ? kSignBit : 0));
}

// Leading zeros by halving: one definition for host and device. x must not be 0.
FPDET_HD constexpr int leading_zeros(uint64_t x) {
#if defined(__CUDACC__)
  int n = 0;
  for (int half = 32; half > 0; half /= 2) {
    if ((x >> (64 - half)) == 0) {
      n += half;
      x <<= half;
    }
  }
  return n;
#else
  return __builtin_clzll(x);
#endif
}
FPDET_HD constexpr int leading_zeros(uint128 x) {
  const uint64_t high = static_cast<uint64_t>(x >> 64);
  return high != 0 ? leading_zeros(high) : 64 + leading_zeros(static_cast<uint64_t>(x));
}

// x / 2^count rounded down, with "something was lost" or-ed into the lowest bit (jamming): every
// comparison that a rounding makes above that bit comes out as for the exact value. count >= 0.
FPDET_HD constexpr uint128 shift_right_jam(uint128 x, int count) {
  if (count == 0) return x;
  if (count >= 128) return x != 0 ? 1 : 0;
  const uint128 lost = x << (128 - count);
  return (x >> count) | (lost != 0 ? 1 : 0);
}

// Widening to double, exact for every pattern (a NaN becomes the canonical one).
FPDET_HD constexpr double widen(uint64_t bits, int exponent_bits, int fraction_bits) {
  const bool negative = ((bits >> (exponent_bits + fraction_bits)) & 1) != 0;
  const uint64_t field_mask = (uint64_t{1} << exponent_bits) - 1;
  const uint64_t field = (bits >> fraction_bits) & field_mask;
  uint64_t fraction = bits & ((uint64_t{1} << fraction_bits) - 1);
  if (field == field_mask) return fraction != 0 ? canonical_nan() : infinity(negative);
  if (field == 0 && fraction == 0) return zero(negative);
  const int bias = static_cast<int>(field_mask >> 1);
  int exponent = static_cast<int>(field) - bias;
  if (field == 0) {  // subnormal: shift the leading digit to where normal numbers have it
    const int shift = leading_zeros(fraction) - (63 - fraction_bits);
    fraction = (fraction << shift) & ((uint64_t{1} << fraction_bits) - 1);
    exponent = 1 - bias - shift;
  }
  return from_bits((negative ? kSignBit : 0) | (static_cast<uint64_t>(exponent + 1023) << 52) |
                   (fraction << (52 - fraction_bits)));
}

// The pattern of a value that is a member of the narrower format (NaN becomes a quiet NaN).
FPDET_HD constexpr uint64_t narrow(double member, int exponent_bits, int fraction_bits) {
  const uint64_t magnitude = magnitude_bits(member);
  const uint64_t sign = static_cast<uint64_t>(is_negative(member))
                        << (exponent_bits + fraction_bits);
  const uint64_t field_mask = (uint64_t{1} << exponent_bits) - 1;
  if (magnitude > kInfinityBits) {
    return (field_mask << fraction_bits) | (uint64_t{1} << (fraction_bits - 1));
  }
  if (magnitude == kInfinityBits) return sign | (field_mask << fraction_bits);
  if (magnitude == 0) return sign;
  const int bias = static_cast<int>(field_mask >> 1);
  const int exponent = static_cast<int>(magnitude >> 52) - 1023;  // a member is normal in binary64
  const uint64_t fraction = (magnitude & ((uint64_t{1} << 52) - 1)) >> (52 - fraction_bits);
  if (exponent >= 1 - bias) {
    return sign | (static_cast<uint64_t>(exponent + bias) << fraction_bits) | fraction;
  }
  return sign | ((fraction | (uint64_t{1} << fraction_bits)) >> (1 - bias - exponent));
}

FPDET_HD constexpr double float32_to_double(uint32_t bits) { return widen(bits, 8, 23); }
FPDET_HD constexpr double float16_to_double(uint16_t bits) { return widen(bits, 5, 10); }
FPDET_HD constexpr double bfloat16_to_double(uint16_t bits) { return widen(bits, 8, 7); }
FPDET_HD constexpr uint32_t double_to_float32(double member) {
  return static_cast<uint32_t>(narrow(member, 8, 23));
}
FPDET_HD constexpr uint16_t double_to_float16(double member) {
  return static_cast<uint16_t>(narrow(member, 5, 10));
}
FPDET_HD constexpr uint16_t double_to_bfloat16(double member) {
  return static_cast<uint16_t>(narrow(member, 8, 7));
}

}  // namespace fpdet::inline FPDET_TARGET
