// SPDX-License-Identifier: MIT
// The arithmetic itself: exact results by 128-bit integers, then one rounding to any Format.
//
// Add, multiply, fma and divide of binary64 operands give an Unpacked value (top digit at bit 127,
// lost digits jammed into bit 0); round_unpacked() rounds it once: to p digits as if the exponent
// were unbounded above (below exponent_min the quantum stays fixed: subnormals), then handles
// overflow. At least 126 digits survive, more than 53 + 33 + 2 that any rounding looks at. Integer
// operations only: no ambient floating-point state can change a bit. IEEE 754-2019; P3109 for
// stochastic.
#pragma once

#include "bias.h"
#include "bits.h"
#include "config.h"
#include "format.h"
#include "random.h"
#include "rounding.h"

namespace fpdet::inline FPDET_TARGET {

// (-1)^negative * significand * 2^(exponent - 127), bit 127 of the significand set.
struct Unpacked {
  bool negative;
  int exponent;
  uint128 significand;
};

// A non-zero significand at any position, brought into the form above.
FPDET_HD constexpr Unpacked normalise(bool negative, int exponent, uint128 significand) {
  const int shift = leading_zeros(significand);
  return Unpacked{negative, exponent - shift, significand << shift};
}

// x finite and not zero.
FPDET_HD constexpr Unpacked unpack(double x) {
  const uint64_t magnitude = magnitude_bits(x);
  const int field = static_cast<int>(magnitude >> 52);
  const uint64_t fraction = magnitude & ((uint64_t{1} << 52) - 1);
  if (field != 0) {
    return Unpacked{is_negative(x), field - 1023,
                    static_cast<uint128>(fraction | (uint64_t{1} << 52)) << 75};
  }
  return normalise(is_negative(x), -1022, static_cast<uint128>(fraction) << 75);
}

FPDET_HD constexpr Unpacked exact_product(const Unpacked& a, const Unpacked& b) {
  // 53 digits each: the product's 106 fit, none is lost.
  const uint128 product = static_cast<uint128>(static_cast<uint64_t>(a.significand >> 64)) *
                          static_cast<uint64_t>(b.significand >> 64);
  return normalise(a.negative != b.negative, a.exponent + b.exponent + 1, product);
}

// Returns significand 0 where a + b is exactly zero. Up to 106 digits each.
FPDET_HD constexpr Unpacked exact_sum(const Unpacked& a, const Unpacked& b) {
  const bool a_larger =
      a.exponent > b.exponent || (a.exponent == b.exponent && a.significand >= b.significand);
  const Unpacked& larger = a_larger ? a : b;
  const Unpacked& smaller = a_larger ? b : a;
  // One bit of room for the carry. The larger's lowest bits are zeros, so jamming the smaller one
  // jams the sum and the difference correctly, and cancellation of many digits loses none.
  const uint128 x = larger.significand >> 1;
  const uint128 y = shift_right_jam(smaller.significand, larger.exponent - smaller.exponent + 1);
  const uint128 sum = larger.negative == smaller.negative ? x + y : x - y;
  if (sum == 0) return Unpacked{false, 0, 0};
  return normalise(larger.negative, larger.exponent + 1, sum);
}

FPDET_HD constexpr Unpacked exact_quotient(const Unpacked& a, const Unpacked& b) {
  const uint64_t numerator = static_cast<uint64_t>(a.significand >> 75);  // 53 digits
  const uint64_t denominator = static_cast<uint64_t>(b.significand >> 75);
  // Schoolbook division in two steps of 64 and 62 digits; the remainder is jammed.
  const uint128 first = (static_cast<uint128>(numerator) << 64) / denominator;
  const uint128 remainder = (static_cast<uint128>(numerator) << 64) % denominator;
  const uint128 second = (remainder << 62) / denominator;
  const uint128 rest = (remainder << 62) % denominator;
  const uint128 quotient = (first << 62) | second | (rest != 0 ? 1 : 0);
  return normalise(a.negative != b.negative, a.exponent - b.exponent + 1, quotient);
}

// Does |x| = (integer + fraction / 2^128) quanta round away from zero?
FPDET_HD constexpr bool rounds_away(bool negative, uint64_t integer, uint128 fraction,
                                    Rounding rounding, const StochasticSpec& spec,
                                    uint32_t random) {
  // 127 digits and a jammed one: no rounding looks at more than 34.
  constexpr uint128 kOnes = (static_cast<uint128>(1) << 127) - 1;
  const uint128 bias = rounding_bias<128>(
      rounding, static_cast<uint128>(127), kOnes, static_cast<uint128>(integer & 1),
      static_cast<uint128>(negative ? ~static_cast<uint128>(0) : 0), spec,
      static_cast<uint128>(random));
  return ((fraction >> 1 | (fraction & 1)) + bias) >> 127 != 0;
}

// What stands for a result beyond the largest finite value.
FPDET_HD constexpr double overflow(bool negative, const Format& format, Rounding rounding) {
  const bool stays_finite = rounding == Rounding::TowardZero || rounding == Rounding::ToOdd ||
                            (rounding == Rounding::Upward && negative) ||
                            (rounding == Rounding::Downward && !negative);
  if (stays_finite) return with_sign(format.max_finite, negative);
  return format.has_infinity ? infinity(negative) : canonical_nan();
}

// (-1)^negative * integer * 2^quantum_exponent for integer <= 2^53. 2^1024 gives infinity's
// pattern, which compares as larger than every finite one.
FPDET_HD constexpr double compose(bool negative, uint64_t integer, int quantum_exponent) {
  if (integer == 0) return zero(negative);
  const int top = 63 - leading_zeros(integer);
  const int exponent = top + quantum_exponent;
  uint64_t magnitude = 0;
  if (exponent >= -1022) {
    const uint64_t digits = top <= 52 ? integer << (52 - top) : integer >> (top - 52);
    magnitude = (static_cast<uint64_t>(exponent + 1023) << 52) | (digits & ~(uint64_t{1} << 52));
  } else {
    magnitude = integer << (quantum_exponent + 1074);
  }
  return from_bits(magnitude | (negative ? kSignBit : 0));
}

// The one rounding. `random` is R of a stochastic rounding and unused otherwise.
FPDET_HD constexpr double round_unpacked(const Unpacked& x, const Format& format, Rounding rounding,
                                         const StochasticSpec& spec, uint32_t random) {
  const int exponent = x.exponent > format.exponent_min ? x.exponent : format.exponent_min;
  const int quantum_exponent = exponent - (format.precision - 1);
  const int drop =
      127 - x.exponent + quantum_exponent;  // bits of the significand below the quantum
  const uint64_t integer = drop < 128 ? static_cast<uint64_t>(x.significand >> drop) : 0;
  const uint128 fraction =
      drop < 128 ? x.significand << (128 - drop) : shift_right_jam(x.significand, drop - 128);
  const uint64_t rounded =
      integer + (rounds_away(x.negative, integer, fraction, rounding, spec, random) ? 1 : 0);
  if (x.exponent > format.exponent_max) return overflow(x.negative, format, rounding);
  const double result = compose(x.negative, rounded, quantum_exponent);
  if (magnitude_bits(result) > magnitude_bits(format.max_finite)) {
    return overflow(x.negative, format, rounding);
  }
  return result;
}

FPDET_HD constexpr double soft_infinity(bool negative, const Format& format) {
  return format.has_infinity ? infinity(negative) : canonical_nan();
}

// x + (-x), and zeros of unlike signs.
FPDET_HD constexpr double cancelled_zero(Rounding rounding) {
  return zero(rounding == Rounding::Downward);
}

FPDET_HD constexpr double soft_round(double x, const Format& format, Rounding rounding,
                                     const StochasticSpec& spec = {}, uint32_t random = 0) {
  if (is_nan(x)) return canonical_nan();
  if (is_infinite(x)) return soft_infinity(is_negative(x), format);
  if (is_zero(x)) return x;
  return round_unpacked(unpack(x), format, rounding, spec, random);
}

FPDET_HD constexpr double soft_add(double p, double q, const Format& format, Rounding rounding,
                                   const StochasticSpec& spec = {}, uint32_t random = 0) {
  if (is_nan(p) || is_nan(q)) return canonical_nan();
  if (is_infinite(p) || is_infinite(q)) {
    if (is_infinite(p) && is_infinite(q) && is_negative(p) != is_negative(q))
      return canonical_nan();
    return soft_infinity(is_negative(is_infinite(p) ? p : q), format);
  }
  if (is_zero(p) && is_zero(q)) {
    return is_negative(p) == is_negative(q) ? p : cancelled_zero(rounding);
  }
  if (is_zero(p)) return round_unpacked(unpack(q), format, rounding, spec, random);
  if (is_zero(q)) return round_unpacked(unpack(p), format, rounding, spec, random);
  const Unpacked sum = exact_sum(unpack(p), unpack(q));
  if (sum.significand == 0) return cancelled_zero(rounding);
  return round_unpacked(sum, format, rounding, spec, random);
}

FPDET_HD constexpr double soft_mul(double a, double b, const Format& format, Rounding rounding,
                                   const StochasticSpec& spec = {}, uint32_t random = 0) {
  if (is_nan(a) || is_nan(b)) return canonical_nan();
  const bool negative = is_negative(a) != is_negative(b);
  if (is_infinite(a) || is_infinite(b)) {
    if (is_zero(a) || is_zero(b)) return canonical_nan();
    return soft_infinity(negative, format);
  }
  if (is_zero(a) || is_zero(b)) return zero(negative);
  return round_unpacked(exact_product(unpack(a), unpack(b)), format, rounding, spec, random);
}

FPDET_HD constexpr double soft_fma(double a, double b, double c, const Format& format,
                                   Rounding rounding, const StochasticSpec& spec = {},
                                   uint32_t random = 0) {
  if (is_nan(a) || is_nan(b) || is_nan(c)) return canonical_nan();
  const bool negative = is_negative(a) != is_negative(b);
  if (is_infinite(a) || is_infinite(b)) {
    if (is_zero(a) || is_zero(b)) return canonical_nan();
    if (is_infinite(c) && is_negative(c) != negative) return canonical_nan();
    return soft_infinity(negative, format);
  }
  if (is_infinite(c)) return soft_infinity(is_negative(c), format);
  if (is_zero(a) || is_zero(b)) {
    return soft_add(zero(negative), c, format, rounding, spec, random);
  }
  const Unpacked product = exact_product(unpack(a), unpack(b));
  if (is_zero(c)) return round_unpacked(product, format, rounding, spec, random);
  const Unpacked sum = exact_sum(product, unpack(c));
  if (sum.significand == 0) return cancelled_zero(rounding);
  return round_unpacked(sum, format, rounding, spec, random);
}

FPDET_HD constexpr double soft_div(double a, double b, const Format& format, Rounding rounding,
                                   const StochasticSpec& spec = {}, uint32_t random = 0) {
  if (is_nan(a) || is_nan(b)) return canonical_nan();
  const bool negative = is_negative(a) != is_negative(b);
  if (is_infinite(a)) return is_infinite(b) ? canonical_nan() : soft_infinity(negative, format);
  if (is_infinite(b)) return zero(negative);
  if (is_zero(b)) return is_zero(a) ? canonical_nan() : soft_infinity(negative, format);
  if (is_zero(a)) return zero(negative);
  return round_unpacked(exact_quotient(unpack(a), unpack(b)), format, rounding, spec, random);
}

}  // namespace fpdet::inline FPDET_TARGET
