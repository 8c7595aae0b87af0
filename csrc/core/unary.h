// SPDX-License-Identifier: MIT
// An elementary function of one element. This file is its definition: f(x) rounded into the
// accumulator's format (functions.h, event 0), then into the element's (event 1).
#pragma once

#include "functions.h"

namespace fpdet::inline FPDET_TARGET {

/// A member of the accumulator's format. Random: where an elementwise op draws from.
template <Function F, class Random>
FPDET_HD inline double rounded_element(double x, const Arith& arith, Random& random) {
  const Arithmetic& a = arith.arithmetic();
  return round_value(evaluate<F>(x), a.format, a.rounding, a.stochastic,
                     arith.draw(random, 0, static_cast<Operation>(F), x));
}

/// A member of the accumulator's format, converted. Emulated under every rounding: the surroundings
/// are those of the evaluation, to nearest even.
template <class Random>
FPDET_HD inline double convert_result(double member, const Format& own, const Arith& arith,
                                      Random& random) {
  const Arithmetic& a = arith.arithmetic();
  return soft_round(member, own, a.rounding, a.stochastic,
                    arith.draw(random, 1, Operation::Convert, member));
}

template <Function F>
FPDET_HD inline double unary_element(const Arith& arith, double x, const Format& own,
                                     ElementwiseBits& random) {
  return convert_result(rounded_element<F>(x, arith, random), own, arith, random);
}

}  // namespace fpdet::inline FPDET_TARGET
