// SPDX-License-Identifier: MIT
// log, log1p and softplus.
//
// Accurate, u = 2^-53: z = 2^k m, m in [sqrt(1/2), sqrt(2)) up to an ulp, i the integer nearest to
// 128 m, c near 128/i in at most 12 digits (c = 1 for i = 128), v = m c - 1, |v| < 2^-7.4:
// log z = k log 2 - log c + log1p(v).
//
// - log1p(v) = v + w, w = v^2 (-1/2 + v (1/3 - ... + v^12 (-1)^.../15)). Beyond v^15: 2^-106 |w|.
//   Terms from v^9 on in float64: v^9/9 with an error of 2.2 u, 2^-105 |w|. Each step above adds 3
//   u^2 to the coefficient and 8 u^2 to a product below 2^-7.8 of it: |error of w| < (3 + 5 + 5 +
//   0.2) u^2 |w| + 2^-104 |w| < 2^-102 |w|.
// - v: of float32 z, m c has 36 digits and v is exact. Of z = 1 + x, exact as a sum of two (z.hi,
//   z.lo), m.hi c and its rounding error are exact, and m.lo c plus that error, below 2^-52, is
//   rounded once: 2^-105.
// - k log 2: k kLn21 is exact (8 + 42 digits), k kLn22 as a product of two; with kLn23 5 u^2.
// - (k log 2 - log c) + (v + w), 3 u^2 a sum. If k != 0, |log z| > 0.34 and every summand is below
//   2.1 |log z|: 2.1 (5 + 1 + 3 + 3) u^2 + 2^-103.4 < 2^-100. If k = 0 and c != 1, |log z| >
//   2^-8.1, the summands are below 2.7 |log z|, and log c, off by 2^-107, counts 2^-98.9: |error| <
//   2^-98.5 |log z|. (There v is exact, or from 1 + w as below; z.lo enters for |log z| > 0.22
//   alone.)
// - log(1 + w), w a sum of two: v = (c - 1) + w c, 2 u^2 of w c and 2 u^2 of v, below 4.2 u^2 w; as
//   log(1 + w) > 0.69 w for w <= 1, that is 6.1 u^2 more.
//
// Fast: k log 2 + log m with log m = 2 s + 2 s^3/3 + ... + 2 s^21/21, s = f/(2 + f), f = m - 1
// (exact, or the argument x of log1p itself if k = 0): beyond it 2^-60 of 2 s; s is off by 2 u. k
// kLn21 is exact: below 2^-49. In log1p m is 1 + x rounded, which counts 2^-51.4 of the result.
//
// log z for algebraic z != 1 and log1p(x) for algebraic x != 0 are transcendental (Lindemann).
// softplus(x) is: were y = log(1 + e^x) algebraic, e^y - e^x - e^0 = 0 would relate exponentials of
// different algebraic numbers if x != 0 (Lindemann, Weierstrass); softplus(0) = log 2.
#pragma once

#include "exponential.h"

namespace fpdet::inline FPDET_TARGET {

struct SplitBinary {
  int k;
  double m;
};

// x > 0, normal in float64: x = 2^k m, m in [sqrt(1/2), sqrt(2)).
FPDET_HD inline SplitBinary split_binary(double x) {
  const auto above = static_cast<int64_t>(to_bits(x) - to_bits(constants::kSqrtHalf.hi));
  const auto k = above >> 52;
  return {static_cast<int>(k), from_bits(to_bits(x) - (static_cast<uint64_t>(k) << 52))};
}

// log1p(v) - v, |v| < 2^-7.3, to 2^-102.
FPDET_HD inline DoubleDouble log1p_rest(const DoubleDouble& v) {
  using namespace constants;
  double tail = one_over_tail(6);
  FPDET_UNROLL
  for (int i = 5; i >= 0; --i) tail = ieee_fma(tail, v.hi, one_over_tail(i));
  DoubleDouble s = one_over(6) + tail * v.hi;
  FPDET_UNROLL
  for (int i = 5; i >= 0; --i) s = one_over(i) + v * s;
  return v * v * s;
}

// k log 2 - log c + log1p(v).
FPDET_HD inline DoubleDouble log_sum(int k, const DoubleDouble& minus_log_c,
                                     const DoubleDouble& v) {
  using namespace constants;
  const DoubleDouble near = v + log1p_rest(v);
  const DoubleDouble far =
      k == 0 ? minus_log_c : (two_product(k, kLn22) + k * kLn21) + k * kLn23 + minus_log_c;
  return far + near;
}

FPDET_HD inline constants::LogCentre centre_of(double m) {
  return constants::log_centre(static_cast<int>(m * 128.0 + 0.5) - 90);
}

// log(z.hi + z.lo), z.hi > 0.
FPDET_HD inline DoubleDouble log_accurate(const DoubleDouble& z) {
  const SplitBinary split = split_binary(z.hi);
  const double low = z.lo * power_of_two_double(-split.k);
  const constants::LogCentre centre = centre_of(split.m);
  const DoubleDouble product = two_product(split.m, centre.c);
  const DoubleDouble v = two_sum(product.hi - 1.0, ieee_fma(low, centre.c, product.lo));
  return log_sum(split.k, centre.minus_log, v);
}

// log(1 + w), sqrt(1/2) - 1 < w <= 1.
FPDET_HD inline DoubleDouble log1p_accurate(const DoubleDouble& w) {
  const SplitBinary split = split_binary(1.0 + w.hi);
  const constants::LogCentre centre = centre_of(split.m);
  if (split.k == 0 && centre.c == 1.0) return w + log1p_rest(w);
  const double c = centre.c * power_of_two_double(-split.k);
  return log_sum(split.k, centre.minus_log, w * c + (c - 1.0));
}

// x in (0, 2^128), not 1.
FPDET_HD inline Enclosure log_enclosure(double x) {
  const double v = x - 1.0;
  if (within(v, 0x1p-9)) return within_bound(v, log1p_rest({v, 0.0}));
  return within_bound(0.0, log_accurate({x, 0.0}));
}

// x in (-1, 2^128), not 0. Below 2^-29, where x - x^2/2 may be a point of the grid, x^3/3 (1 -
// 3x/4) decides, known to 2^-51 and 3 x^2/5 < 2^-57.
FPDET_HD inline Enclosure log1p_enclosure(double x) {
  if (within(x, 0x1p-29)) {
    const double cube = x * x * x * -constants::tanh_series(0).hi;
    const double rest = ieee_fma(cube, x * -0.75, cube);
    return {x, {x * x * -0.5, rest}, magnitude(rest) * 0x1p-50};
  }
  if (within(x, 0x1p-9)) return within_bound(x, log1p_rest({x, 0.0}));
  if (within(x, 0.25)) return within_bound(0.0, log1p_accurate({x, 0.0}));
  return within_bound(0.0, log_accurate(two_sum(1.0, x)));
}

// max(x, 0) + log(1 + e^-|x|). Below 2^-25, log 2 + x/2 + x^2/8: beyond it x^4/192 < 2^-107, log 2
// is off by 2^-107 and the sum by 2 u^2 of 2^-26.
FPDET_HD inline Enclosure softplus_enclosure(double x) {
  if (within(x, 0x1p-25)) {
    constexpr DoubleDouble kLog2 = constants::kLog2;
    return {kLog2.hi, DoubleDouble{x * 0.5, x * x * 0.125} + kLog2.lo, 0x1p-104};
  }
  if (!within(x, kExpMost)) return next_to(at_least(x, 0.0), 1.0);
  return within_bound(at_least(x, 0.0), log1p_accurate(exp_accurate(-magnitude(x))));
}

// log z where z has been rounded from 1 + f if k = 0, exact otherwise.
FPDET_HD inline double fast_log(double z, double f_near_one) {
  using namespace constants;
  constexpr double kMagic = 0x1.8p52;
  const uint64_t above = to_bits(z) - to_bits(kSqrtHalf.hi);
  // The exponent field of a double that is not negative, less a bias: 0 <= above >> 52 < 4096.
  const uint64_t biased = (above + (uint64_t{1} << 62)) >> 52;
  const uint64_t k_bits = biased - 1024;
  const double k = from_bits(to_bits(kMagic) + k_bits) - kMagic;
  const double m = from_bits(to_bits(z) - (k_bits << 52));
  const double f = k_bits == 0 ? f_near_one : m - 1.0;
  const double s = f / (2.0 + f), w = s * s;
  double series = atanh_series(9);
  FPDET_UNROLL
  for (int i = 8; i >= 0; --i) series = ieee_fma(series, w, atanh_series(i));
  const double log_m = ieee_fma(s * w, series, s + s);
  return ieee_fma(k, kLn21, ieee_fma(k, kLn22, log_m));
}

FPDET_HD inline double log_fast(double x) {
  const double value = fast_log(x, x - 1.0);
  return x > 0.0 && x < 0x1p128 ? value : 0.0;
}
FPDET_HD inline double log1p_fast(double x) {
  const double value = fast_log(1.0 + x, x);
  return x > -1.0 && x < 0x1p128 ? value : 0.0;
}
FPDET_HD inline double softplus_fast(double x) {
  const FastExp e = fast_exp(-magnitude(x));
  const double w = ieee_fma(e.power, e.p, e.power);
  return fast_exp_takes(x) ? at_least(x, 0.0) + fast_log(1.0 + w, w) : 0.0;
}

}  // namespace fpdet::inline FPDET_TARGET
