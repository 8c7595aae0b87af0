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

/// The least `width` of formats inside float32.
inline constexpr int kLeastWidth = 53 - 24;

struct CutFormat {
  StochasticSpec spec{};
  uint64_t width = 0;
  uint64_t ones = 0;  ///< 2^width - 1
  // The least normal number, and from there to the largest finite one; moved by 2^63, so that
  // signed comparisons tell what lies outside.
  uint64_t least = 0;
  uint64_t range = 0;
  uint64_t up = 0, down = 0;  ///< from the top of 32 bits to the top of `width`
  uint64_t raise = 0;         ///< width - kLeastWidth, if positive
  bool doubts = false;        ///< digits that were cut off can matter

  CutFormat() = default;
  FPDET_HD constexpr CutFormat(const Format& format, const StochasticSpec& s)
      : spec(s),
        width(static_cast<uint64_t>(53 - format.precision)),
        ones((uint64_t{1} << width) - 1),
        least((static_cast<uint64_t>(format.exponent_min + 1023) << 52) + kSignBit),
        range(magnitude_bits(format.max_finite) - least),
        up(width > 32 ? width - 32 : 0),
        down(width < 32 ? 32 - width : 0),
        raise(width > kLeastWidth ? width - kLeastWidth : 0),
        doubts(s.variant == 'c' || s.bits + (s.variant == 'b' ? 1 : 0) > 53 - format.precision) {}
};

/// What is used for every number, as words U.
template <class U>
struct CutWords {
  U ones, least, range, up, down;
};
template <class U>
FPDET_HD_INLINE constexpr CutWords<U> cut_words(const CutFormat& f, U zero) {
  return {zero + f.ones, zero + f.least, zero + f.range, zero + f.up, zero + f.down};
}

/// What is added to a pattern for R = random (bias.h).
template <class U>
FPDET_HD_INLINE constexpr U cut_bias(const CutFormat& f, U random) {
  const U zero = random ^ random;
  return rounding_bias<64>(Rounding::Stochastic, zero + f.width, zero + f.ones, zero, zero, f.spec,
                           random);
}

/// cut_bias of R 2^(32 - N): variant a alone.
template <class U>
FPDET_HD_INLINE constexpr U cut_bias_of_top(const CutWords<U>& f, U word) {
  return (word << f.up) >> f.down;
}

/// The digits that R reaches: variant a alone.
template <class U>
FPDET_HD_INLINE constexpr U cut_mask(const CutFormat& f, U zero) {
  const int width = static_cast<int>(f.width);
  const int below = width > f.spec.bits ? width - f.spec.bits : 0;
  return zero + (f.ones >> below << below);
}
/// cut_bias of the R whose lane ends at bit Top of a word that was moved up by f.raise, whatever
/// else is in it; mask = cut_mask(f).
template <int Top, class U>
FPDET_HD_INLINE constexpr U cut_bias_of_lane(U raised, U mask) {
  if constexpr (Top <= kLeastWidth) {
    return raised << (kLeastWidth - Top) & mask;
  } else {
    return raised >> (Top - kLeastWidth) & mask;
  }
}

template <class U>
struct CutResult {
  U pattern;
  U doubtful;  ///< top bit set: the pattern is not to be used
};

/// The top bit set where |x| lies outside the format's normal range.
template <class U>
FPDET_HD_INLINE constexpr U outside_normal(U x, const CutWords<U>& f) {
  const U above = (x & ~kSignBit) - f.least;
  using Compared = decltype(above > f.range);
  if constexpr (__is_same(Compared, bool)) {
    return static_cast<int64_t>(above) > static_cast<int64_t>(f.range) ? kSignBit : 0;
  } else if constexpr (sizeof(U) == 64) {
    // Compared by subtractions: of long vectors comparisons give masks. f.least is moved, so above
    // is negative from the least number on, and f.range - above up to the largest is not.
    return ~above | (f.range - above);
  } else {
    return reinterpret_cast<U>(reinterpret_cast<Compared>(above) >
                               reinterpret_cast<Compared>(f.range));
  }
}

/// All bits set where a == b.
template <class U>
FPDET_HD_INLINE constexpr U equal(U a, U b) {
  if constexpr (__is_same(decltype(a == b), bool)) {
    return a == b ? ~U{0} : U{0};
  } else {
    return reinterpret_cast<U>(a == b);
  }
}

/// U is uint64_t or a vector of such. Doubts = f.doubts, known beforehand.
template <bool Doubts, class U>
FPDET_HD_INLINE constexpr CutResult<U> round_cut_pattern(U x, const CutWords<U>& f, U bias) {
  const U sum = x + bias;
  U doubtful = outside_normal(x, f);
  if constexpr (Doubts) doubtful |= equal(sum & f.ones, f.ones);
  return {sum & ~f.ones, doubtful};
}
template <bool Doubts, class U>
FPDET_HD_INLINE constexpr CutResult<U> round_cut_pattern(U x, const CutFormat& f, U bias) {
  return round_cut_pattern<Doubts>(x, cut_words(f, x ^ x), bias);
}

}  // namespace fpdet::inline FPDET_TARGET
