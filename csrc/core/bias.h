// SPDX-License-Identifier: MIT
// What each rounding does, as one number: |x| = k quanta + fraction / 2^width quanta goes away from
// zero iff fraction + bias >= 2^width. So a rounding is: add the bias below the quantum, cut.
//
// U is an unsigned integer of Bits bits, or a vector of such: nothing here branches on a lane.
//
// Stochastic with random = R compares d = fraction / 2^width to its N bits (b: to N + 1), cut:
//   floor(d 2^N) + R >= 2^N   iff   fraction + R 2^(width - N) >= 2^width   iff
//   fraction + floor(R 2^(width - N)) >= 2^width
// since R and 2^N, then fraction and 2^width, are whole numbers.
#pragma once

#include "config.h"
#include "random.h"
#include "rounding.h"

namespace fpdet::inline FPDET_TARGET {

// Whether words of 32 bits hold R, in variant b R + 1/2. In variant c ties need one bit more.
FPDET_HD constexpr bool bias_fits_32(const StochasticSpec& spec) {
  return spec.variant == 'a' || (spec.variant == 'b' && spec.bits < 32);
}

// R, in b and c R + 1/2, with R's top bit at the word's top. In words of 32 bits `random` has R
// there already.
template <int Bits, class U>
FPDET_HD_INLINE constexpr U aligned_random(const StochasticSpec& spec, U random) {
  U aligned = Bits == 32 ? random : random << (Bits - spec.bits);
  if (spec.variant != 'a') {
    const U zero = random ^ random;
    aligned |= (zero + 1) << (Bits - 1 - spec.bits);
  }
  return aligned;
}

// width < Bits; ones = 2^width - 1; odd = k mod 2; negative = all bits set where x < 0; random = R,
// in words of 32 bits, which must fit, R 2^(32 - N). The fraction may be jammed (its lowest bit set
// if lower ones were lost) if width is at least 34 under Stochastic, 2 otherwise. Always below
// 2^width: what is exact stays.
template <int Bits, class U>
FPDET_HD_INLINE constexpr U rounding_bias(Rounding rounding, U width, U ones, U odd, U negative,
                                          const StochasticSpec& spec, U random) {
  switch (rounding) {
    case Rounding::NearestEven:
      return (ones >> 1) + (odd & ones);
    case Rounding::NearestAway:
      return ones - (ones >> 1);
    case Rounding::TowardZero:
      return ones ^ ones;
    case Rounding::Upward:
      return ones & ~negative;
    case Rounding::Downward:
      return ones & negative;
    case Rounding::ToOdd:
      return ones & (odd - 1);
    case Rounding::Stochastic: {
      // In b and c (R + 1/2) 2^(width - N), rounded down. In c a tie of the digits cut at N bits
      // goes to even: where 2^N - R is odd, the fraction must exceed, not reach, it.
      U bias = (aligned_random<Bits>(spec, random) >> 1) >> ((Bits - 1) - width);
      if constexpr (Bits >= 64) {
        if (spec.variant == 'c') bias -= random & (ones >> spec.bits) & 1;
      }
      return bias;
    }
  }
  return ones ^ ones;
}

}  // namespace fpdet::inline FPDET_TARGET
