// SPDX-License-Identifier: MIT
// erf, normal_cdf(x) = Phi(x) = erfc(-x/sqrt(2))/2 and gelu(x) = x Phi(x).
//
// Accurate, u = 2^-53:
//
// - erf(x) = 2/sqrt(pi) x S(x^2) and Phi(x) - 1/2 = 1/sqrt(2 pi) x S(x^2/2), S(w) = sum (-w)^n/(n!
//   (2n + 1)), w <= 1/4 exact (48 digits). Beyond w^20: 2^-112. Terms from w^11 on in float64:
//   w^11/(11! 23) with an error of 2.2 u, 2^-103.6. Each step above adds 3 u^2 to the coefficient
//   and 2 u^2 to a product below w/3 of it; S > 0.91: 4 u^2 + 2^-103.4; times x and the constant (2
//   + 5 + 1) u^2: |error| < 2^-102 of the value. For w < 2^-22 five terms: beyond them 2^-120; the
//   last two in float64, w^3/42 with an error of 2.2 u, 2^-123.
// - erfc(t) = e^(-t^2) P(t), P(t) = exp(t^2) erfc(t), t >= 0, by 22 terms of P's Taylor series at
//   i/8, h = t - i/8, |h| <= 1/16. Its coefficients fall from the first at least as at t = 0, by
//   1/Gamma(n/2 + 1): beyond n = 21 2^-88/Gamma(12) < 2^-113; from n = 11 on in float64
//   2^-44/Gamma(6.5) 2.2 u < 2^-104. Above, 3 u^2 a step and 8 u^2 of a product below 0.08 of it;
//   the first coefficient u^2: 5 u^2 + 2^-103.9. t is x, or |x| sqrt(1/2) to 3 u^2, which moves P
//   by |t P'/P| < 1 times that. e^(-t^2), with t^2 = x^2 or x^2/2 exact, 4.3 u^2; the product 5
//   u^2: |error| < 19 u^2 < 2^-101.7 of the value.
// - Phi(-a) = erfc(a/sqrt(2))/2; 1 - erfc, 1 - Phi(-a), x - x Phi(-x) are left as differences.
//
// Fast: the same series, 13 and 12 terms in float64: beyond them 2^-62 and 2^-57; 2 u each for S
// and P (h is off by u t), 2^-49 for the exponential; 1 - erfc >= 0.52 and 1 - Phi(-a) >= 0.75 do
// not cancel: below 2^-47.
//
// Whether erf(x) is irrational for each of these x is not known to theory: that no result but those
// at 0 is on the grid is part of what the run over all inputs shows.
#pragma once

#include "erfcx.h"
#include "exponential.h"

namespace fpdet::inline FPDET_TARGET {

inline constexpr double kErfMost = 11.5;     // erfc < 2^-194
inline constexpr double kNormalMost = 17.0;  // 17 Phi(-17) < 2^-209
inline constexpr double kErfSeriesMost = 0.5, kNormalSeriesMost = 0.7;

// S(w), 0 <= w <= 1/4.
FPDET_HD inline DoubleDouble erf_sum(double w) {
  using namespace constants;
  if (w < 0x1p-60)
    return {1.0, w * erf_series(1).hi};  // beyond: w^2/10, the error of the term 2^-113
  DoubleDouble s{};
  int i = 10;
  if (w < 0x1p-22) {
    s = erf_series(2) + ieee_fma(erf_series(4).hi, w, erf_series(3).hi) * w;
    i = 2;
  } else {
    double tail = erf_series_tail(9);
    for (int j = 8; j >= 0; --j) tail = ieee_fma(tail, w, erf_series_tail(j));
    s = erf_series(10) + tail * w;
  }
  while (--i >= 0) s = erf_series(i) + s * w;
  return s;
}

// exp(t^2) erfc(t), 0 <= t <= 12.05.
FPDET_HD inline DoubleDouble erfcx(const DoubleDouble& t) {
  using namespace constants;
  const int centre = static_cast<int>(t.hi * 8.0 + 0.5);
  const ErfcxRow& row = erfcx_row(centre);
  const DoubleDouble h = two_sum(t.hi - centre * 0.125, t.lo);
  double tail = row.narrow[kErfcxTerms - kErfcxWide - 1];
  for (int i = kErfcxTerms - kErfcxWide - 2; i >= 0; --i)
    tail = ieee_fma(tail, h.hi, row.narrow[i]);
  DoubleDouble s = row.wide[kErfcxWide - 1] + tail * h.hi;
  for (int i = kErfcxWide - 2; i >= 0; --i) s = row.wide[i] + h * s;
  return s;
}

// erfc(a), 1/2 <= a <= kErfMost.
FPDET_HD inline DoubleDouble erfc_accurate(double a) {
  return exp_accurate(-(a * a)) * erfcx({a, 0.0});
}
// Phi(-a), 0 <= a <= kNormalMost.
FPDET_HD inline DoubleDouble lower_normal(double a) {
  constexpr DoubleDouble kSqrtHalf = constants::kSqrtHalf;
  return scale(exp_accurate(a * a * -0.5) * erfcx(kSqrtHalf * a), -1);
}

FPDET_HD inline Enclosure erf_enclosure(double x) {
  if (within(x, kErfSeriesMost)) {
    constexpr DoubleDouble kTwoOverSqrtPi = constants::kTwoOverSqrtPi;
    return within_bound(0.0, kTwoOverSqrtPi * (erf_sum(x * x) * x));
  }
  const double one = x > 0.0 ? 1.0 : -1.0, a = magnitude(x);
  if (a > kErfMost) return next_to(one, -one);
  return within_bound(one, erfc_accurate(a) * -one);
}

// Phi(x) - 1/2, |x| < kNormalSeriesMost.
FPDET_HD inline DoubleDouble normal_series(double x) {
  constexpr DoubleDouble kOneOverSqrtTwoPi = constants::kOneOverSqrtTwoPi;
  return kOneOverSqrtTwoPi * (erf_sum(x * x * 0.5) * x);
}

FPDET_HD inline Enclosure normal_cdf_enclosure(double x) {
  if (within(x, kNormalSeriesMost)) return within_bound(0.5, normal_series(x));
  const double a = magnitude(x), limit = x > 0.0 ? 1.0 : 0.0;
  if (a > kNormalMost) return next_to(limit, x > 0.0 ? -1.0 : 1.0);
  const DoubleDouble lower = lower_normal(a);
  return within_bound(limit, x > 0.0 ? -lower : lower);
}

FPDET_HD inline Enclosure gelu_enclosure(double x) {
  if (within(x, kNormalSeriesMost)) return within_bound(x * 0.5, normal_series(x) * x);
  const double a = magnitude(x), limit = at_least(x, 0.0);
  if (a > kNormalMost) return next_to(limit, -1.0);
  return within_bound(limit, lower_normal(a) * -a);
}

FPDET_HD inline double fast_erf_sum(double w) {
  using namespace constants;
  double s = erf_series_tail(1);
  s = ieee_fma(s, w, erf_series_tail(0));
  FPDET_UNROLL
  for (int i = 10; i >= 0; --i) s = ieee_fma(s, w, erf_series(i).hi);
  return s;
}
FPDET_HD inline double fast_erfcx(double t) {
  using namespace constants;
  const int centre = static_cast<int>(t * 8.0 + 0.5);
  const ErfcxRow& row = erfcx_row(centre);
  const double h = t - centre * 0.125;
  double s = row.narrow[0];
  FPDET_UNROLL
  for (int i = kErfcxWide - 1; i >= 0; --i) s = ieee_fma(s, h, row.wide[i].hi);
  return s;
}
FPDET_HD inline double fast_lower_normal(double a) {
  const FastExp e = fast_exp(a * a * -0.5);
  return ieee_fma(e.power, e.p, e.power) * (0.5 * fast_erfcx(a * constants::kSqrtHalf.hi));
}

FPDET_HD inline double erf_fast(double x) {
  const double a = magnitude(x);
  if (a < kErfSeriesMost) return constants::kTwoOverSqrtPi.hi * (x * fast_erf_sum(x * x));
  if (!(a < 6.0)) return 0.0;  // within 2^-55 of 1: no float64 number decides
  const FastExp e = fast_exp(-(a * a));
  const double rest = ieee_fma(e.power, e.p, e.power) * fast_erfcx(a);
  return with_sign(1.0 - rest, is_negative(x));
}
FPDET_HD inline double normal_cdf_fast(double x) {
  const double a = magnitude(x);
  if (a < kNormalSeriesMost) {
    return ieee_fma(constants::kOneOverSqrtTwoPi.hi * x, fast_erf_sum(x * x * 0.5), 0.5);
  }
  if (!(a < 14.0)) return 0.0;
  const double lower = fast_lower_normal(a);
  return x > 0 ? 1.0 - lower : lower;
}
FPDET_HD inline double gelu_fast(double x) { return x * normal_cdf_fast(x); }

}  // namespace fpdet::inline FPDET_TARGET
