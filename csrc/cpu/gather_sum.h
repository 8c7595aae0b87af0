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
  int64_t x_line = 0;             ///< elements from one line to the next; columns lie side by side
  const void* weights = nullptr;  ///< or null
  int64_t weight_step = 1;
  void* out = nullptr;  ///< [sum][column]
};

/// Whether there is a kernel; sizes and pointers are not looked at, but columns must lie side by
/// side.
bool fast_gather_sum_covers(const GatherSumCall& call);

// The kernel, and the definition itself for every combination: the same bits.
void fast_gather_sum(const GatherSumCall& call, const ParallelFor& parallel_for);
void slow_gather_sum(const GatherSumCall& call, const ParallelFor& parallel_for);

}  // namespace fpdet::cpu
