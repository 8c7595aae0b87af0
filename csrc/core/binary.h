// SPDX-License-Identifier: MIT
// One rounded operation on two operands. This file is its definition: the exact result rounded into
// the accumulator's format (event 0), then into the element's (event 1); a - b is a + (-b).
#pragma once

#include <cstdint>

#include "arith.h"
#include "config.h"

namespace fpdet::inline FPDET_TARGET {

enum class BinaryOperation : int { Add, Subtract, Multiply, Divide };

/// The words of the operations, in the enumeration's sequence.
inline constexpr const char* kBinaryWords[] = {"add", "sub", "mul", "div"};

/// A member of the accumulator's format.
FPDET_HD inline double binary_element(const Arith& arith, BinaryOperation operation, double a,
                                      double b, ElementwiseBits& random) {
  switch (operation) {
    case BinaryOperation::Subtract:
      return arith.add(a, -b, random, 0);
    case BinaryOperation::Multiply:
      return arith.mul(a, b, random, 0);
    case BinaryOperation::Divide:
      return arith.div(a, b, random, 0);
    default:
      return arith.add(a, b, random, 0);
  }
}

}  // namespace fpdet::inline FPDET_TARGET
