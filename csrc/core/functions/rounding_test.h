// SPDX-License-Identifier: MIT
// From an approximation with a bound to what every rounding needs: Ziv's test.
//
// A rounding into a format inside float32 compares |f(x)| with numbers of at most 24 digits and
// their midpoints, 25 digits; stochastic rounding by N <= 32 bits with numbers of at most 24 + N +
// 1
// <= 57 digits (variant b: 2^-(N+1) of a quantum). In the subnormal range they have fewer. So all
// that counts of f(x) is between which two neighbours of the grid of kGridDigits digits it lies:
// any number strictly between the same two rounds like f(x), for instance the lower one with its
// last digits jammed ("sticky"). The test fails only where the interval that surely holds f(x) also
// holds a point of the grid.
#pragma once

#include "../config.h"
#include "../soft.h"
#include "double_double.h"

namespace fpdet::inline FPDET_TARGET {

// One digit more than any rounding needs, so that the grid is right below a power of two as well.
inline constexpr int kGridDigits = 58;

// f(x) = c + d (real numbers), known to `error`. Where c is a simple number close to f(x), as 1 is
// to exp(x) near 0, d is its small remainder, whose error is relative to it: f(x) is then known
// better than any sum of two float64 numbers could say.
struct Enclosure {
  double c;
  DoubleDouble d;
  double error;
};

FPDET_HD constexpr double magnitude(double x) { return from_bits(magnitude_bits(x)); }

// What accurate evaluations promise of d unless they say more: 2^-97, half of what the test allows
// for, so that the roundings of the test itself (a few u^2 relative to d, u of the residual) fit.
FPDET_HD inline Enclosure within_bound(double c, const DoubleDouble& d) {
  return {c, d, magnitude(d.hi) * 0x1p-96};
}

// f(x) lies next to c, above (sign 1) or below (-1): nearer than 2^-182 |c|, or than 2^-182 if c is
// 0. All such distances are one case to every rounding (those of numbers next to 0 compare with
// 2^-149 2^-33 at least), so one of them stands for f(x), as if it were known without error; its
// far digit keeps it off the grid.
FPDET_HD inline Enclosure next_to(double c, double sign) {
  const double distance = sign * (is_zero(c) ? 0x1p-190 : magnitude(c) * 0x1p-190);
  return {c, {distance, distance * 0x1p-60}, 0.0};
}

// The value beside `grid` to which a number just above (away) or just below it in magnitude rounds.
FPDET_HD constexpr Unpacked beside(const Unpacked& grid, bool away) {
  if (away) return {grid.negative, grid.exponent, grid.significand | 1};
  Unpacked below = normalise(grid.negative, grid.exponent, grid.significand - 1);
  below.significand |= 1;
  return below;
}

// c + d cut at the nearest grid point, which it exceeds by `residual`.
struct Cut {
  Unpacked grid;
  double residual;
};

// hi + mid + low is the exact sum c + d: hi + mid = c + d.hi, then mid and low take d.lo.
FPDET_HD inline Cut cut(const Enclosure& f) {
  const DoubleDouble sum = two_sum(f.c, f.d.hi);
  const DoubleDouble tail = two_sum(sum.lo, f.d.lo);
  const DoubleDouble top = fast_two_sum(sum.hi, tail.hi);
  // Spacing of the grid: 2^(53 - kGridDigits) of top's ulp; adding 1.5 * 2^52 times it rounds to
  // it.
  const int exponent = static_cast<int>(magnitude_bits(top.hi) >> 52) - 1023;
  const double magic = 1.5 * power_of_two_double(exponent + 53 - kGridDigits);
  const double grid_part = (top.lo + magic) - magic;
  const Unpacked whole = unpack(top.hi);
  return {is_zero(grid_part) ? whole : exact_sum(whole, unpack(grid_part)),
          (top.lo - grid_part) + tail.lo};
}

FPDET_HD constexpr bool certain(const Cut& cut, const Enclosure& f) {
  return magnitude(cut.residual) > f.error;
}

FPDET_HD constexpr Unpacked jammed(const Cut& cut) {
  return beside(cut.grid, is_negative(cut.residual) == cut.grid.negative);
}

// x rounded to odd to 53 digits: what a second rounding to 51 or fewer cannot tell from x. No
// function of a float32 leaves the normal range of float64.
FPDET_HD constexpr double jam_to_double(const Unpacked& x) {
  uint64_t digits = static_cast<uint64_t>(x.significand >> 75);
  if ((x.significand << 53) != 0) digits |= 1;
  return compose(x.negative, digits, x.exponent - 52);
}

// Fast evaluations promise a relative error of at most 2^-46, in units of a float64 number's last
// digit at most 2^7. Does every number within it of v round like v, if no rounding looks at more
// than `digits` of them (25 for all but stochastic roundings)? False for 0, infinities and NaN.
inline constexpr int kFastErrorBits = 7;
FPDET_HD constexpr bool fast_decides(double v, int digits) {
  const uint64_t mask = (uint64_t{1} << (53 - digits)) - 1;
  constexpr uint64_t kSlack = uint64_t{1} << kFastErrorBits;
  return ((to_bits(v) + kSlack) & mask) > 2 * kSlack;
}
// The most digits for which the test is worth making: it succeeds half the time.
inline constexpr int kMostFastDigits = 53 - kFastErrorBits - 2;

}  // namespace fpdet::inline FPDET_TARGET
