// SPDX-License-Identifier: MIT
// Ordered sums of chosen lines of a matrix (core/gather_sum.h), as numbers and pointers.
#pragma once

#include <cstdint>

#include "../core/gather_sum.h"
#include "contraction.h"

namespace fpdet::inline FPDET_TARGET {

struct GatherSumCall {
  Scalar scalar = Scalar::Float32;  ///< of x, weights and out
  Order order;
  Arithmetic arithmetic;
  Draw draw;
  int64_t sums = 0, columns = 0;
  int64_t terms = 0;                 ///< of all sums: offsets[sums] - offsets[0]
  const int64_t* offsets = nullptr;  ///< sums + 1 of them
  const int64_t* indices = nullptr;
  const void* x = nullptr;
  int64_t x_line = 0;             ///< elements from one line to the next; columns lie side by side
  const void* weights = nullptr;  ///< or null
  int64_t weight_step = 1;
  void* out = nullptr;  ///< [sum][column]
};

}  // namespace fpdet::inline FPDET_TARGET
