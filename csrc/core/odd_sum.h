// SPDX-License-Identifier: MIT
// A sum of two float64 numbers rounded to odd, from operations rounded to nearest even: what a
// second rounding to at most 51 digits cannot tell from the exact sum. (Boldo and Melquiond,
// "Emulation of FMA and correctly rounded sums", IEEE Transactions on Computers 57, 2008.)
#pragma once

#include "config.h"

namespace fpdet::inline FPDET_TARGET {

/// The pattern of s + error rounded to odd, where s is the float64 number nearest to it: of `error`
/// only its sign and whether it is zero count. D is double or a vector of such, U its words;
/// as_words reinterprets a D.
template <class U, class D, class AsWords>
FPDET_HD_INLINE constexpr U jam_to_odd(D s, D error, AsWords as_words) {
  const U bits = as_words(s);
  const U zero = bits ^ bits;
  const U toward = as_words(error) ^ bits;  // its sign bit: does the error point to zero?
  const U step = (toward >> 63) != 0 ? ~zero : zero + 1;
  // Neither comparison holds for the NaN that infinities leave.
  const U inexact = (error < 0 || error > 0) ? zero + 1 : zero;
  return (inexact & ~bits & 1) != 0 ? bits + step : bits;
}

/// The pattern of p + q; no finite sum overflows. Zeros have the sign that nearest even gives them.
template <class U, class D, class AsWords>
FPDET_HD_INLINE constexpr U odd_sum(D p, D q, AsWords as_words) {
  const D s = p + q;
  const D back = s - p;
  const D error = (p - (s - back)) + (q - back);  // exact: Knuth's two-sum
  return jam_to_odd<U>(s, error, as_words);
}

}  // namespace fpdet::inline FPDET_TARGET
