// SPDX-License-Identifier: MIT
// An elementary function of one element. This file is its definition: f(x) rounded into the
// accumulator's format (functions.h, event 0), then into the element's (event 1).
#pragma once

#include "functions.h"

namespace fpdet::inline FPDET_TARGET {

/// A member of the accumulator's format, converted. Emulated under every rounding: the surroundings
/// are those of the evaluation, to nearest even.
FPDET_HD inline double convert_result(double member, const Format& own, const Arith& arith,
                                      RandomBits& random) {
  const Arithmetic& a = arith.arithmetic();
  return soft_round(member, own, a.rounding, a.stochastic,
                    arith.draw(random, 1, Operation::Convert, member));
}

template <Function F>
FPDET_HD inline double unary_element(const Arith& arith, double x, const Format& own,
                                     RandomBits& random) {
  return convert_result(rounded_function<F>(x, arith, random), own, arith, random);
}

}  // namespace fpdet::inline FPDET_TARGET
