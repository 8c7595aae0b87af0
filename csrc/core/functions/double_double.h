// SPDX-License-Identifier: MIT
// Numbers of about 106 digits: the unevaluated sum hi + lo of two float64 numbers, |lo| at most
// half an ulp of hi. Everything is computed to nearest even (host: under an EnvironmentGuard).
//
// Error bounds with u = 2^-53, relative to the exact result, no over- or underflow (results of
// float32 arguments stay far from both), from Joldes, Muller and Popescu, "Tight and rigorous error
// bounds for basic building blocks of double-word arithmetic", ACM TOMS 44 (2017), whose algorithm
// numbers stand beside the functions.
#pragma once

#include "../arith.h"
#include "../config.h"

namespace fpdet::inline FPDET_TARGET {

struct DoubleDouble {
  double hi, lo;
};

// a + b exactly (Knuth).
FPDET_HD inline DoubleDouble two_sum(double a, double b) {
  const double s = a + b;
  const double back = s - a;
  return {s, (a - (s - back)) + (b - back)};
}

// a + b exactly where a is zero or |a| >= |b| (Dekker).
FPDET_HD inline DoubleDouble fast_two_sum(double a, double b) {
  const double s = a + b;
  return {s, b - (s - a)};
}

// a * b exactly.
FPDET_HD inline DoubleDouble two_product(double a, double b) {
  const double p = a * b;
  return {p, ieee_fma(a, b, -p)};
}

FPDET_HD inline DoubleDouble operator-(const DoubleDouble& x) { return {-x.hi, -x.lo}; }

// 2 u^2 (algorithm 4).
FPDET_HD inline DoubleDouble operator+(const DoubleDouble& x, double y) {
  const DoubleDouble s = two_sum(x.hi, y);
  return fast_two_sum(s.hi, x.lo + s.lo);
}

// 3 u^2 + 13 u^3, whatever cancels (algorithm 6).
FPDET_HD inline DoubleDouble operator+(const DoubleDouble& x, const DoubleDouble& y) {
  const DoubleDouble s = two_sum(x.hi, y.hi), t = two_sum(x.lo, y.lo);
  const DoubleDouble v = fast_two_sum(s.hi, s.lo + t.hi);
  return fast_two_sum(v.hi, t.lo + v.lo);
}

// 2 u^2 (algorithm 9).
FPDET_HD inline DoubleDouble operator*(const DoubleDouble& x, double y) {
  const DoubleDouble p = two_product(x.hi, y);
  return fast_two_sum(p.hi, ieee_fma(x.lo, y, p.lo));
}

// 5 u^2 (algorithm 12).
FPDET_HD inline DoubleDouble operator*(const DoubleDouble& x, const DoubleDouble& y) {
  const DoubleDouble p = two_product(x.hi, y.hi);
  const double cross = ieee_fma(x.lo, y.hi, ieee_fma(x.hi, y.lo, x.lo * y.lo));
  return fast_two_sum(p.hi, p.lo + cross);
}

// 15 u^2 + 56 u^3 (algorithm 17).
FPDET_HD inline DoubleDouble operator/(const DoubleDouble& x, const DoubleDouble& y) {
  const double quotient = x.hi / y.hi;
  const DoubleDouble back = y * quotient;
  const double rest = (x.hi - back.hi) + (x.lo - back.lo);
  return fast_two_sum(quotient, rest / y.hi);
}

// 2^k, -1022 <= k <= 1023; x times it is exact short of over- and underflow.
FPDET_HD constexpr double power_of_two_double(int k) {
  return from_bits(static_cast<uint64_t>(k + 1023) << 52);
}
FPDET_HD inline DoubleDouble scale(const DoubleDouble& x, int k) {
  const double s = power_of_two_double(k);
  return {x.hi * s, x.lo * s};
}

}  // namespace fpdet::inline FPDET_TARGET
