// SPDX-License-Identifier: MIT
// exp and expm1.
//
// Accurate, u = 2^-53: y = (64 m + j) log(2)/64 + r with |r| <= log(2)/128 (1 + 2^-40) < 2^-7.52,
// so e^y = 2^m T (1 + p), T = 2^(j/64) from a table, p = e^r - 1.
//
// - r: k = 64 m + j has at most 14 digits for |y| <= 150, so k kStep1 is exact (36 digits
//   more), y minus it is as a sum of two; k kStep2 is as a product of two. Two sums, 3 u^2 and 2
//   u^2; k kStep3 and what lies beyond it: |error of r| <= 5.1 u^2 |r| + 2^-137. r = y if k = 0.
// - p = r + r^2 (1/2 + r (1/6 + ... + r^10/13!)). Beyond r^13: |r|^14/14! < 2^-134 |p|. Terms from
//   r^7 on in float64: the first, r^7/5040, with a relative error below 2.2 u (coefficient and last
//   fma; the rest is 2^-10 of it), 2^(-45.1 - 12.3 - 51.8) |r| < 2^-109 |p|. Above, each step in
//   double-double adds 3 u^2 to the coefficient and 8 u^2 to a product below 2^-9 of it. r^2 s is
//   below 2^-8.5 |r|, with an error of (5 + 10.2 + 5 + 3.1) u^2 of itself; the last addition adds 3
//   u^2: |error of p| < (5.1 + 3 + 0.1) u^2 |p| + 2^-109 |p| < 2^-102.8 |p|.
// - exp = T + T p: T p is below 2^-7.5 and has 2^-102.6 of itself, T from the table u^2, the sum 3
//   u^2: |error| < 4.3 u^2 e^y < 2^-103.8 e^y.
// - expm1 = (2^m T.hi - 1) + 2^m T.lo + 2^m T p, or p itself if k = 0. The difference is exact as a
//   sum of two. |e^y - 1| > 0.0053 and |2^m T - 1| < 2.1 |e^y - 1|; T.lo is off by 2^-107 at most,
//   2^-99.4 of the result; the sums add 2.1 (2 + 3) u^2 < 2^-102.6: |error| < 2^-99.2 |e^y - 1|.
//
// Fast: y = k log 2 + r, |r| <= 0.3466; k kLn21 is exact (8 + 42 digits), r is off by 2^-54. p by
// Taylor to r^13: beyond it 2^-56 of p, in the Horner scheme 2 u of p. e^y = 2^k + 2^k p and
// e^y - 1 = (2^k - 1) + 2^k p, where for k != 0 |2^k p| and |2^k - 1| are below 2.5 |e^y - 1|: each
// has a relative error below 2^-49.
//
// No result is a number of a binary format but exp(0) = 1 and expm1(+-0) = +-0: e^x is
// transcendental for algebraic x != 0 (Hermite, Lindemann).
#pragma once

#include "constants.h"
#include "rounding_test.h"

namespace fpdet::inline FPDET_TARGET {

// e^-140 < 2^-201 is next to 0 (and 1 + e^-140 next to 1); where e^x > 2^201, beyond every
// overflow, kExpBeyond stands for it.
inline constexpr double kExpMost = 140.0, kExpBeyond = 0x1p200;

struct ExpParts {
  int m;
  DoubleDouble t;  // 2^(j/64)
  DoubleDouble p;
  bool whole;  // m = j = 0
};

// |y| <= 150.
FPDET_HD inline ExpParts exp_parts(double y) {
  using namespace constants;
  constexpr double kMagic = 0x1.8p52;
  const double shifted = y * kSixtyFourthsPerE + kMagic;
  const double k = shifted - kMagic;
  const int integer = static_cast<int>(k);
  DoubleDouble r = two_sum(y, -k * kStep1) + -two_product(k, kStep2);
  r = r + -k * kStep3;
  double tail = one_over_factorial_tail(6);
  FPDET_UNROLL
  for (int i = 5; i >= 0; --i) tail = ieee_fma(tail, r.hi, one_over_factorial_tail(i));
  DoubleDouble s = one_over_factorial(4) + tail * r.hi;
  FPDET_UNROLL
  for (int i = 3; i >= 0; --i) s = one_over_factorial(i) + r * s;
  const DoubleDouble p = r + r * r * s;
  const int j = integer & 63;
  return {(integer - j) / 64, power_of_two(j), p, integer == 0};
}

// e^y, |y| <= 150: error below 2^-103.8.
FPDET_HD inline DoubleDouble exp_accurate(double y) {
  const ExpParts e = exp_parts(y);
  return scale(e.t + e.t * e.p, e.m);
}

// e^y - 1, |y| <= 150: relative error below 2^-99.2.
FPDET_HD inline DoubleDouble expm1_accurate(double y) {
  const ExpParts e = exp_parts(y);
  if (e.whole) return e.p;
  const DoubleDouble t = scale(e.t, e.m);
  return (two_sum(t.hi, -1.0) + t.lo) + t * e.p;
}

FPDET_HD inline double at_most(double x, double most) { return x > most ? most : x; }
FPDET_HD inline double at_least(double x, double least) { return x < least ? least : x; }
FPDET_HD inline bool within(double x, double most) { return x > -most && x < most; }

FPDET_HD inline Enclosure exp_enclosure(double x) {
  // 1 + x may be a point of the grid: then x^2/2 (1 + x/3) decides, known to x^2/12 < 2^-53 and
  // 2^-51.
  if (within(x, 0x1p-25)) {
    const double w = x * x;
    const double rest = ieee_fma(w * x, constants::one_over_factorial(1).hi, w * 0.5);
    return {1.0, {x, rest}, rest * 0x1p-50};
  }
  if (within(x, 0.25)) return within_bound(1.0, expm1_accurate(x));
  if (x < -kExpMost) return next_to(0.0, 1.0);
  if (x > kExpMost) return next_to(kExpBeyond, 1.0);
  return within_bound(0.0, exp_accurate(x));
}

// Below 2^-25 x + x^2/2 (x^2 has 48 digits) may be a point of the grid or very near one, and what
// follows decides: x^3/6 (1 + x/4), in float64 known to 2^-51; after it come x^2/20 < 2^-54 of it.
FPDET_HD inline Enclosure expm1_enclosure(double x) {
  if (within(x, 0x1p-25)) {
    const double cube = x * x * x * constants::one_over_factorial(1).hi;
    const double rest = ieee_fma(cube, x * 0.25, cube);
    return {x, {x * x * 0.5, rest}, magnitude(rest) * 0x1p-50};
  }
  if (within(x, 0.25)) return within_bound(0.0, expm1_accurate(x));
  if (x < -kExpMost) return next_to(-1.0, 1.0);
  if (x > kExpMost) return next_to(kExpBeyond, 1.0);
  return within_bound(-1.0, exp_accurate(x));
}

struct FastExp {
  double power;  // 2^k
  double p;      // e^r - 1
};

// |y| <= 104.
FPDET_HD inline FastExp fast_exp(double y) {
  using namespace constants;
  constexpr double kMagic = 0x1.8p52;
  const double shifted = ieee_fma(y, kOctavesPerE, kMagic);
  const double k = shifted - kMagic;
  const double r = ieee_fma(-k, kLn22, ieee_fma(-k, kLn21, y));
  double s = one_over_factorial_tail(6);
  FPDET_UNROLL
  for (int i = 5; i >= 0; --i) s = ieee_fma(s, r, one_over_factorial_tail(i));
  FPDET_UNROLL
  for (int i = 4; i >= 0; --i) s = ieee_fma(s, r, one_over_factorial(i).hi);
  // The low bits of `shifted` are k's: moved to the exponent's place they are 2^k's.
  return {from_bits((to_bits(shifted) << 52) + to_bits(1.0)), ieee_fma(s, r * r, r)};
}

inline constexpr double kFastExpMost = 104.0;
FPDET_HD inline bool fast_exp_takes(double x) { return x >= -kFastExpMost && x <= kFastExpMost; }

FPDET_HD inline double exp_fast(double x) {
  const FastExp e = fast_exp(x);
  return fast_exp_takes(x) ? ieee_fma(e.power, e.p, e.power) : 0.0;
}
FPDET_HD inline double expm1_fast(double x) {
  const FastExp e = fast_exp(x);
  return fast_exp_takes(x) ? ieee_fma(e.power, e.p, e.power - 1.0) : 0.0;
}

}  // namespace fpdet::inline FPDET_TARGET
