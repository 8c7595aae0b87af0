// SPDX-License-Identifier: MIT
// Partial sums: an exact sum that has not been rounded yet, as a short list of float64 numbers that
// add up to it. Partials of parts of a sum, made anywhere, merge without error; one rounding at the
// end gives the bits of the whole sum under order exact (exact.h).
//
// A partial of n numbers:
//   a sum that is not zero    numbers of falling magnitude, the rest +0; NaN or an infinity alone
//   a sum of zero             (+0, +0) terms +0 alone, (-0, -0) terms -0 alone, (+0, -0) any others
//   no terms at all           (-0, +0)
// so that the sign of an exact zero is the whole sum's as well. Terms are products of two float32
// (or narrower) numbers: multiples of 2^-298, and 2^62 of them are below 2^318.
#pragma once

#include <cstdint>

#include "bits.h"
#include "config.h"
#include "exact.h"

namespace fpdet::inline FPDET_TARGET {

inline constexpr int kPartialMin = 2;   ///< zeros need two numbers
inline constexpr int kPartialMax = 12;  ///< 616 bits, at least 53 each

struct Partial {
  double numbers[kPartialMax] = {-0.0, 0.0};
  int count = kPartialMin;
};

/// The partial of a sum of at least one term. Each number is what is left, rounded to nearest.
FPDET_HD inline Partial partial_of(ExactSum& sum) {
  Partial partial;
  double next = sum.round(kFloat64, Rounding::NearestEven);
  partial.numbers[0] = next;
  if (is_zero(next)) {
    partial.numbers[1] = sum.round(kFloat64, Rounding::Downward);
    return partial;
  }
  partial.numbers[1] = 0.0;
  if (magnitude_bits(next) >= kInfinityBits) return partial;
  for (partial.count = 1; partial.count < kPartialMax; ++partial.count) {
    sum.add(-next);
    next = sum.round(kFloat64, Rounding::NearestEven);
    if (is_zero(next)) break;
    partial.numbers[partial.count] = next;
  }
  if (partial.count < kPartialMin) partial.count = kPartialMin;
  return partial;
}

/// Adds a partial's terms; false where it has none. Number i lies at numbers[i * step].
FPDET_HD inline bool add_partial(ExactSum& sum, const double* numbers, int64_t step,
                                 int64_t count) {
  if (to_bits(numbers[0]) == kSignBit && to_bits(numbers[step]) == 0) return false;
  for (int64_t i = 0; i < count; ++i) {
    const double x = numbers[i * step];
    if (i < kPartialMin || !is_zero(x)) sum.add(x);
  }
  return true;
}

/// A sum and the errors of its additions in three float64 numbers, under round to nearest: it is
/// sum + error + rest if `lost` is 0. D is double or a vector of them. Terms: as above.
template <class D>
struct CarriedSum {
  D sum{}, error{}, rest{}, lost{};

  FPDET_HD_INLINE void add(D term) {
    D below = two_sum(sum, term);
    below = two_sum(error, below);
    below = two_sum(rest, below);
    lost = lost + below * below;  // at least 2^-596: it does not underflow
  }

  /// x becomes the rounded sum, its error is returned (Knuth).
  FPDET_HD_INLINE static D two_sum(D& x, D y) {
    const D s = x + y;
    const D z = s - x;
    const D e = (x - (s - z)) + (y - z);
    x = s;
    return e;
  }
};

/// The partial of a carried sum; false where it is not exact, or zero, or not finite, or close to a
/// tie: then the other `partial_of` knows. Both give the same numbers.
FPDET_HD inline bool partial_of(CarriedSum<double> carried, Partial& partial) {
  if (!(carried.lost == 0.0)) return false;
  double high = carried.sum, middle = carried.error, low = carried.rest;
  low = CarriedSum<double>::two_sum(middle, low);
  middle = CarriedSum<double>::two_sum(high, middle);
  low = CarriedSum<double>::two_sum(middle, low);
  middle = CarriedSum<double>::two_sum(high, middle);
  low = CarriedSum<double>::two_sum(middle, low);
  if (is_zero(high) || magnitude_bits(high) >= kInfinityBits) return false;
  constexpr double kMore = 1.0 + 0x1p-20;
  if (high + middle * kMore != high || middle + low * kMore != middle) return false;
  partial.numbers[0] = high;
  partial.numbers[1] = is_zero(middle) ? 0.0 : middle;
  partial.numbers[2] = is_zero(low) ? 0.0 : low;
  partial.count = is_zero(low) ? 2 : 3;
  return true;
}

}  // namespace fpdet::inline FPDET_TARGET
