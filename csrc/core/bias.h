// SPDX-License-Identifier: MIT
// What each rounding does, as one number: |x| = k quanta + fraction / 2^width quanta goes away from
// zero iff fraction + bias >= 2^width. So a rounding is: add the bias below the quantum, cut.
//
// U is an unsigned integer of Bits bits, or a vector of such: nothing here branches on a lane.
#pragma once

#include "config.h"
#include "random.h"
#include "rounding.h"

namespace fpdet::inline FPDET_TARGET {

// width < Bits; ones = 2^width - 1; odd = k mod 2; negative = all bits set where x < 0; random = R.
// The fraction may be jammed (its lowest bit set if lower ones were lost) if width is at least 34
// under Stochastic, 2 otherwise. Always below 2^width: what is exact stays.
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
      // R 2^(width - N), in b and c (R + 1/2) 2^(width - N), rounded down. In c a tie of the digits
      // cut at N bits goes to even: where 2^N - R is odd, the fraction must exceed, not reach, it.
      if constexpr (Bits >= 64) {
        const U one = (ones ^ ones) + 1;
        U aligned = random << (Bits - spec.bits);
        if (spec.variant != 'a') aligned |= one << (Bits - 1 - spec.bits);
        U bias = (aligned >> 1) >> ((Bits - 1) - width);
        if (spec.variant == 'c') bias -= random & (ones >> spec.bits) & 1;
        return bias;
      }
    }
  }
  return ones ^ ones;
}

}  // namespace fpdet::inline FPDET_TARGET
