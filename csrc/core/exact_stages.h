// SPDX-License-Identifier: MIT
// Cheap ways to the exact sum (exact.h is its definition), for operands whose products are exact in
// binary64: float32, bfloat16, float16 and whatever has at most 24 digits and that exponent range.
// Each stage either gives the definition's bits or says that it cannot.
//
// Let p_1 ... p_T be the products and the bias, S the binary64 sum of them in any order or tree, u
// = 2^-53 (round to nearest; 2^-52 in the other modes). Products are multiples of 2^-298 and below
// 2^256, so nothing underflows or overflows on the way.
//
//   magnitude   M >= sum |p_i|: ||a|| ||b|| + |bias| by Cauchy and Schwarz
//   quantum     q > 0 a power of two of which every p_i is a multiple
//
//   1  M <= 2^53 q: every partial sum is a multiple of q and at most M, hence a binary64 number: S
//      is the sum itself.
//   2  A term passes through at most `depth` roundings, so |S - sum| <= ((1+u)^depth - 1) M. If
//      both ends of that interval, which must not hold zero, round to one output, roundings being
//      monotonic, that is the output (Ziv's test).
//   3  The error of every addition is itself a binary64 number (Knuth's two-sum, round to nearest).
//      Where the errors add up without error, S + errors is the sum itself.
//   4  ExactSum.
//
// NaN and infinite operands make S infinite or NaN, or stage 3's errors NaN: comparisons are
// written so that both fail, and stage 4 is left.
#pragma once

#include <cmath>

#include "bits.h"
#include "config.h"
#include "exact.h"
#include "soft.h"

namespace fpdet::inline FPDET_TARGET {

inline constexpr int kExactStages = 4;

/// What bounds the terms that one row or column takes part in.
struct OperandBounds {
  double norm;     ///< not less than the 2-norm
  double quantum;  ///< every element is a multiple; 0: unknown; infinity: all are zero
};

/// An upper bound of the norm from a computed sum of squares of up to 2^31 elements: its relative
/// error is below 2^-21 in every mode.
FPDET_HD inline double norm_from(double sum_of_squares) {
  return std::sqrt(sum_of_squares * (1.0 + 0x1p-19));
}

/// From the least magnitude of the elements that are not zero (0: unknown, infinity: there is
/// none) and all elements' patterns or-ed together.
FPDET_HD constexpr double quantum_from(double least, uint64_t patterns) {
  if ((patterns & ~kSignBit) == 0) return infinity(false);
  if (is_zero(least) || magnitude_bits(least) >= kInfinityBits) return 0.0;
  const uint64_t fraction = (patterns & ((uint64_t{1} << 52) - 1)) | (uint64_t{1} << 52);
  const int zeros = 63 - leading_zeros(fraction & (~fraction + 1));
  const uint64_t field = magnitude_bits(least) >> 52;  // above 800: least is not below 2^-149
  return from_bits((field - 52 + static_cast<uint64_t>(zeros)) << 52);
}

// D is double or a vector of them.

/// M. The factor covers the roundings of this expression.
template <class D>
FPDET_HD inline D magnitude_bound(D left_norm, D right_norm, double bias_magnitude) {
  return left_norm * right_norm * (1.0 + 0x1p-48) + bias_magnitude * (1.0 + 0x1p-48);
}

/// Of stage 1, given q for the products.
inline constexpr double kExactSteps = 0x1p53;

/// Half of stage 2's interval: depth u M and, for the two ends' own roundings, 2^-50 |S|.
/// The factor of depth u stands for (1+u)^depth - 1 (depth up to 2^40) and for roundings here.
FPDET_HD constexpr double relative_error(int64_t depth) {
  return static_cast<double>(depth) * 0x1p-53 * (1.0 + 0x1p-10);
}
template <class D>
FPDET_HD inline D half_width(D sum_magnitude, D magnitude, double relative) {
  return magnitude * relative + sum_magnitude * 0x1p-50;
}

/// Stages 1 and 2 for any rounding and format: `width` is 0 where S is exact. Needs S != 0.
FPDET_HD constexpr bool settle(double sum, double width, const Format& format, Rounding rounding,
                               const StochasticSpec& spec, uint32_t random, double& result) {
  const double magnitude = from_bits(magnitude_bits(sum));
  if (!(magnitude > width && magnitude < infinity(false))) return false;
  result = soft_round(sum - width, format, rounding, spec, random);
  if (is_zero(width)) return true;
  return to_bits(result) == to_bits(soft_round(sum + width, format, rounding, spec, random));
}

/// Stage 3, under round to nearest: the sum of all terms added is sum + error if lost is 0.
template <class D>
struct ErrorFreeSum {
  D sum{}, error{}, lost{};

  FPDET_HD void add(D term) {
    D below = two_sum(sum, term);
    below = two_sum(error, below);
    lost = lost + below * below;  // at least 2^-596: it does not underflow
  }

 private:
  /// x becomes the rounded sum, its error is returned.
  FPDET_HD static D two_sum(D& x, D y) {
    const D s = x + y;
    const D z = s - x;
    const D e = (x - (s - z)) + (y - z);
    x = s;
    return e;
  }
};

/// sum + error rounded once; not zero. (Where terms cancel, the error may exceed the sum.)
FPDET_HD constexpr double round_pair(double sum, double error, const Format& format,
                                     Rounding rounding, const StochasticSpec& spec,
                                     uint32_t random) {
  if (is_zero(error)) return soft_round(sum, format, rounding, spec, random);
  if (is_zero(sum)) return soft_round(error, format, rounding, spec, random);
  return round_unpacked(exact_sum(unpack(sum), unpack(error)), format, rounding, spec, random);
}

/// What a sum of zero value is: the common sign of terms that are all zeros, else the sign of a
/// cancelled one. Reads no further than it must.
template <class Cursor>
FPDET_HD double exact_zero(Cursor& cursor, int64_t terms, const double* bias, Rounding rounding) {
  bool plus = false, minus = false;
  const auto other = [&](double a, double b) {
    if (!is_zero(a) && !is_zero(b)) return true;
    (is_negative(a) != is_negative(b) ? minus : plus) = true;
    return plus && minus;
  };
  bool cancelled = bias != nullptr && other(*bias, 1.0);
  for (int64_t i = 0; i < terms && !cancelled; ++i) {
    i == 0 ? cursor.seek(0) : cursor.advance();
    cancelled = other(cursor.left(), cursor.right());
  }
  return cancelled ? cancelled_zero(rounding) : zero(minus);
}

}  // namespace fpdet::inline FPDET_TARGET
