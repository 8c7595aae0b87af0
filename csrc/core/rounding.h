// SPDX-License-Identifier: MIT
// The seven roundings (IEEE 754 / P3109 words). One row of the table adds a mode to the
// enumeration, to the parser and to every list of valid words; its meaning is one case in bias.h.
//
// nearest_even, nearest_away: ties to the even digit / away from zero. to_odd: exact values stay,
// all others go to the neighbour whose last significand bit is 1. stochastic: see random.h.
#pragma once

#include "config.h"

// X(enumerator, word)
#define FPDET_ROUNDINGS(X)       \
  X(NearestEven, "nearest_even") \
  X(NearestAway, "nearest_away") \
  X(TowardZero, "toward_zero")   \
  X(Upward, "upward")            \
  X(Downward, "downward")        \
  X(ToOdd, "to_odd")             \
  X(Stochastic, "stochastic")

namespace fpdet::inline FPDET_TARGET {

enum class Rounding : int {
#define FPDET_ROW(enumerator, word) enumerator,
  FPDET_ROUNDINGS(FPDET_ROW)
#undef FPDET_ROW
};

// The roundings that the floating-point unit itself offers.
FPDET_HD constexpr bool is_hardware(Rounding r) {
  return r == Rounding::NearestEven || r == Rounding::TowardZero || r == Rounding::Upward ||
         r == Rounding::Downward;
}

// f.template operator()<R>() for a rounding known at run time only (host).
template <class F>
constexpr decltype(auto) with_rounding(Rounding rounding, F&& f) {
  switch (rounding) {
#define FPDET_ROW(enumerator, word) \
  case Rounding::enumerator:        \
    return f.template operator()<Rounding::enumerator>();
    FPDET_ROUNDINGS(FPDET_ROW)
#undef FPDET_ROW
  }
  return f.template operator()<Rounding::NearestEven>();
}

}  // namespace fpdet::inline FPDET_TARGET
