// SPDX-License-Identifier: MIT
// Binary floating-point formats as data. A format with p digits holds the values k * 2^q, |k| <
// 2^p, q >= exponent_min - (p - 1) (subnormals included), up to max_finite; every one of them
// embeds in binary64, so a value of any format is carried in a double. Exponents are those of 1.xxx
// * 2^e. Standard formats by IEEE 754; float8 by the OCP specification (e4m3fn: no infinity,
// largest 448).
#pragma once

#include "bits.h"
#include "config.h"

// X(constant, word, precision, exponent_min, exponent_max, bits of max_finite, has_infinity)
#define FPDET_FORMATS(X)                                                  \
  X(kFloat64, "float64", 53, -1022, 1023, 0x7fefffffffffffffu, true)      \
  X(kFloat32, "float32", 24, -126, 127, 0x47efffffe0000000u, true)        \
  X(kTfloat32, "tfloat32", 11, -126, 127, 0x47effc0000000000u, true)      \
  X(kBfloat16, "bfloat16", 8, -126, 127, 0x47efe00000000000u, true)       \
  X(kFloat16, "float16", 11, -14, 15, 0x40effc0000000000u, true)          \
  X(kFloat8E4m3fn, "float8_e4m3fn", 4, -6, 8, 0x407c000000000000u, false) \
  X(kFloat8E5m2, "float8_e5m2", 3, -14, 15, 0x40ec000000000000u, true)

namespace fpdet::inline FPDET_TARGET {

struct Format {
  int precision;
  int exponent_min;
  int exponent_max;
  double max_finite;
  bool has_infinity;

  // max_finite by its pattern, so that the comparison is an integer one like all others in core.
  FPDET_HD friend constexpr bool operator==(const Format& x, const Format& y) {
    return x.precision == y.precision && x.exponent_min == y.exponent_min &&
           x.exponent_max == y.exponent_max && to_bits(x.max_finite) == to_bits(y.max_finite) &&
           x.has_infinity == y.has_infinity;
  }
};

#define FPDET_ROW(constant, word, precision, exponent_min, exponent_max, max_bits, has_infinity) \
  inline constexpr Format constant{precision, exponent_min, exponent_max,                        \
                                   from_bits(uint64_t{max_bits}), has_infinity};
FPDET_FORMATS(FPDET_ROW)
#undef FPDET_ROW

// IEEE-like custom format: bias 2^(exponent_bits-1) - 1, subnormals, infinities.
// 2 <= exponent_bits <= 11 and 2 <= precision <= 53 (checked where words are parsed).
FPDET_HD constexpr Format make_format(int exponent_bits, int precision) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const uint64_t fraction = ((uint64_t{1} << (precision - 1)) - 1) << (53 - precision);
  return Format{precision, 1 - bias, bias,
                from_bits((static_cast<uint64_t>(bias + 1023) << 52) | fraction), true};
}

static_assert(make_format(11, 53) == kFloat64 && make_format(8, 24) == kFloat32 &&
              make_format(8, 11) == kTfloat32 && make_format(8, 8) == kBfloat16 &&
              make_format(5, 11) == kFloat16 && make_format(5, 3) == kFloat8E5m2);

// Functions for the device compare with a copy made at compile time: there the constants above have
// values but, being objects of a namespace, no addresses.
FPDET_HD constexpr bool is_float64(const Format& format) {
  constexpr Format kOwn = kFloat64;
  return format == kOwn;
}
FPDET_HD constexpr bool is_float32(const Format& format) {
  constexpr Format kOwn = kFloat32;
  return format == kOwn;
}

// Is every value of `inner` a value of `outer`?
FPDET_HD constexpr bool embeds(const Format& inner, const Format& outer) {
  return inner.precision <= outer.precision && inner.exponent_max <= outer.exponent_max &&
         inner.exponent_min - inner.precision >= outer.exponent_min - outer.precision &&
         (outer.has_infinity || !inner.has_infinity) &&
         magnitude_bits(inner.max_finite) <= magnitude_bits(outer.max_finite);
}

}  // namespace fpdet::inline FPDET_TARGET
