// SPDX-License-Identifier: MIT
// Ordered sums of chosen lines of a matrix (core/gather_sum.h), as numbers and pointers.
#pragma once

#include "contraction.h"

namespace fpdet::cpu {

struct GatherSumCall {
  Scalar scalar = Scalar::Float32;  ///< of x, weights and out
  Order order;
  Arithmetic arithmetic;
  Draw draw;
  int64_t sums = 0, columns = 0;
  const int64_t* offsets = nullptr;  ///< sums + 1 of them
  const int64_t* indices = nullptr;
  const void* x = nullptr;
  int64_t x_line = 0, x_column = 1;  ///< elements from one line, column to the next
  const void* weights = nullptr;     ///< or null
  int64_t weight_step = 1;
  void* out = nullptr;  ///< [sum][column]
};

void slow_gather_sum(const GatherSumCall& call, const ParallelFor& parallel_for);

}  // namespace fpdet::cpu
