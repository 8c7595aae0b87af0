// SPDX-License-Identifier: MIT
// The elementary functions over arrays, as numbers and pointers.
#pragma once

#include <cstdint>

#include "../core/unary.h"
#include "contraction.h"

namespace fpdet::inline FPDET_TARGET {

/// out[i] = f(x[i]) rounded by the Arithmetic, then into the element type. Element i lies at place
/// i, row-major where random bits are drawn.
struct UnaryCall {
  Function function = Function::Exp;
  Scalar scalar = Scalar::Float32;
  Arithmetic arithmetic;
  Draw draw;
  int64_t count = 0;
  int64_t per_sample = 1;
  const void* x = nullptr;
  void* out = nullptr;
};

/// Operand and accumulator inside float32, or an algebraic function.
inline bool unary_covers(Function function, Scalar scalar, const Format& format) {
  return is_algebraic(function) || (scalar != Scalar::Float64 && embeds(format, kFloat32));
}

}  // namespace fpdet::inline FPDET_TARGET
