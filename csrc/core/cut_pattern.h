// SPDX-License-Identifier: MIT
// Stochastic rounding of a real number whose float64 pattern was cut (rounded toward zero): one
// addition and one mask on the pattern, as in pattern.h, for the numbers that need no more.
//
//   |x| = k quanta + known / 2^width quanta + less than 1 / 2^width;  width = 53 - precision
//
// The digits that were cut off matter only where known + bias is all ones, and then only if the
// rounding looks beyond `width` digits (or, variant c, asks for ties). Those numbers are doubtful;
// so are those outside the format's normal range, where the quantum or the result is another. What
// is doubtful the caller rounds again, from the exact operands.
#pragma once

#include "bias.h"
#include "bits.h"
#include "config.h"
#include "format.h"

namespace fpdet::inline FPDET_TARGET {

struct CutFormat {
  StochasticSpec spec{};
  uint64_t width = 0;
  uint64_t ones = 0;    ///< 2^width - 1
  uint64_t least = 0;   ///< least normal number
  uint64_t range = 0;   ///< from there to the largest finite number
  bool doubts = false;  ///< digits that were cut off can matter

  CutFormat() = default;
  FPDET_HD constexpr CutFormat(const Format& format, const StochasticSpec& s)
      : spec(s),
        width(static_cast<uint64_t>(53 - format.precision)),
        ones((uint64_t{1} << width) - 1),
        least(static_cast<uint64_t>(format.exponent_min + 1023) << 52),
        range(magnitude_bits(format.max_finite) - least),
        doubts(s.variant == 'c' || s.bits + (s.variant == 'b' ? 1 : 0) > 53 - format.precision) {}
};

/// What is added to a pattern for R = random (bias.h).
template <class U>
FPDET_HD_INLINE constexpr U cut_bias(const CutFormat& f, U random) {
  const U zero = random ^ random;
  return rounding_bias<64>(Rounding::Stochastic, zero + f.width, zero + f.ones, zero, zero, f.spec,
                           random);
}

/// cut_bias of the R whose lane is the bits [bit, bit + lane_width) of word, higher bits being
/// noise: variant a alone, as one shift and one mask.
template <class U>
FPDET_HD_INLINE constexpr U cut_bias(const CutFormat& f, U word, int bit, int lane_width) {
  const int width = static_cast<int>(f.width), up = width - (bit + lane_width);
  const int below = width > f.spec.bits ? width - f.spec.bits : 0;
  const uint64_t mask = f.ones >> below << below;
  return (up >= 0 ? word << up : word >> -up) & mask;
}

template <class U>
struct CutResult {
  U pattern;
  U doubtful;  ///< not zero: the pattern is not to be used
};

/// U is uint64_t or a vector of such. Doubts = f.doubts, known beforehand.
template <bool Doubts, class U>
FPDET_HD_INLINE constexpr CutResult<U> round_cut_pattern(U x, const CutFormat& f, U bias) {
  const U zero = x ^ x;
  const U ones = zero + f.ones;
  const U sum = x + bias;
  const U above = (x & ~kSignBit) - f.least;
  U doubtful = above > f.range ? ~zero : zero;
  if constexpr (Doubts) doubtful |= (sum & ones) == ones ? ~zero : zero;
  return {sum & ~ones, doubtful};
}

}  // namespace fpdet::inline FPDET_TARGET
