// SPDX-License-Identifier: MIT
// tanh, sigmoid(x) = 1/(1 + e^-x) and silu(x) = x sigmoid(x).
//
// Accurate, u = 2^-53:
//
// - tanh(x), |x| < 2^-7: x + x^3 (-1/3 + 2/15 w - ...), w = x^2 (exact, 48 digits). Coefficients
//   fall by 0.41: beyond w^6 2^-107 of the rest; terms from w^4 on in float64 2^-113; above, 3 u^2
//   a step; x^3 is exact as a product of two: |error of the rest| < (3.1 + 5) u^2 of it.
// - tanh(x), 2^-7 <= |x| < 0.35: E/(E + 2), E = e^2x - 1 to 2^-99.2, of which tanh takes at most
//   1.4 times; the sum and the quotient (2 + 15) u^2.
// - tanh(x), |x| >= 0.35: 1 - 2/(e^2x + 1), the second below 1, to (4.3 + 2 + 15) u^2 of itself.
// - sigmoid(-a) = E/(1 + E), E = e^-a, to (4.3 + 2 + 15) u^2; sigmoid(a) = 1 - sigmoid(-a). For
//   |x| < 2^-6 it is 1/2 + tanh(x/2)/2.
// - silu is x times these: 2 u^2 or 5 u^2 more. 140 e^-140 is next to 0 as well.
//
// Below 2^-25 (sigmoid, silu) the sum of the first two terms may be a point of the grid or very
// near one; the third decides: its float64 value is known to 2^-51, what follows is below x^2/9 of
// it.
//
// Fast: quotients of fast exponentials (2^-49); the denominators are sums of positive numbers.
//
// Transcendental for algebraic x != 0, since e^x would be a rational function of them and x.
#pragma once

#include "exponential.h"

namespace fpdet::inline FPDET_TARGET {

// tanh(x) - x, |x| < 2^-7.
FPDET_HD inline DoubleDouble tanh_rest(double x) {
  using namespace constants;
  const double w = x * x;
  const double tail =
      ieee_fma(ieee_fma(tanh_series_tail(2), w, tanh_series_tail(1)), w, tanh_series_tail(0));
  DoubleDouble s = tanh_series(3) + tail * w;
  FPDET_UNROLL
  for (int i = 2; i >= 0; --i) s = tanh_series(i) + s * w;
  return two_product(w, x) * s;
}

FPDET_HD inline Enclosure tanh_enclosure(double x) {
  if (within(x, 0x1p-29)) {  // x is on the grid, and x^3/3 < 2^-59 x less than its spacing
    const double rest = x * x * x * constants::tanh_series(0).hi;
    return {x, {rest, 0.0}, magnitude(rest) * 0x1p-50};
  }
  if (within(x, 0x1p-7)) return within_bound(x, tanh_rest(x));
  if (within(x, 0.35)) {
    const DoubleDouble e = expm1_accurate(x + x);
    return within_bound(0.0, e / (e + 2.0));
  }
  const double one = x > 0.0 ? 1.0 : -1.0, a = magnitude(x);
  if (a > kExpMost / 2) return next_to(one, -one);
  return within_bound(one, DoubleDouble{-2.0 * one, 0.0} / (exp_accurate(a + a) + 1.0));
}

// sigmoid(-a), 0 <= a <= kExpMost.
FPDET_HD inline DoubleDouble lower_sigmoid(double a) {
  const DoubleDouble e = exp_accurate(-a);
  return e / (e + 1.0);
}

FPDET_HD inline Enclosure sigmoid_enclosure(double x) {
  if (within(x, 0x1p-25)) {
    // 1/2 + x/4 - x^3/48 + x^5/480 - ...
    const double third = x * x * x * (0.0625 * constants::tanh_series(0).hi);
    return {0.5, {x * 0.25, third}, magnitude(third) * 0x1p-50};
  }
  if (within(x, 0x1p-6)) {
    const double h = x * 0.5;
    return within_bound(0.5, scale(tanh_rest(h) + h, -1));
  }
  const double a = magnitude(x), limit = x > 0.0 ? 1.0 : 0.0;
  if (a > kExpMost) return next_to(limit, x > 0.0 ? -1.0 : 1.0);
  const DoubleDouble lower = lower_sigmoid(a);
  return within_bound(limit, x > 0.0 ? -lower : lower);
}

FPDET_HD inline Enclosure silu_enclosure(double x) {
  if (within(x, 0x1p-25)) {
    // x/2 + x^2/4 - x^4/48 + x^6/480 - ...
    const double w = x * x;
    const double third = w * w * (0.0625 * constants::tanh_series(0).hi);
    return {x * 0.5, {w * 0.25, third}, magnitude(third) * 0x1p-50};
  }
  if (within(x, 0x1p-6)) {
    const double h = x * 0.5;
    return within_bound(h, (tanh_rest(h) + h) * h);
  }
  const double a = magnitude(x), limit = at_least(x, 0.0);
  if (a > kExpMost) return next_to(limit, -1.0);
  return within_bound(limit, lower_sigmoid(a) * -a);
}

FPDET_HD inline double tanh_fast(double x) {
  // From 20 on the result lies within 2^-57 of 1: no float64 number decides.
  const FastExp e = fast_exp(2.0 * at_most(magnitude(x), 20.0));
  const double expm1 = ieee_fma(e.power, e.p, e.power - 1.0);
  return from_bits(to_bits(expm1 / (expm1 + 2.0)) | (to_bits(x) & kSignBit));
}
FPDET_HD inline double sigmoid_fast(double x) {
  const FastExp e = fast_exp(-magnitude(x));
  const double lower = ieee_fma(e.power, e.p, e.power);
  const double value = (x < 0.0 ? lower : 1.0) / (1.0 + lower);
  return fast_exp_takes(x) ? value : 0.0;
}
FPDET_HD inline double silu_fast(double x) { return x * sigmoid_fast(x); }

}  // namespace fpdet::inline FPDET_TARGET
