// SPDX-License-Identifier: MIT
// Plan and memory of the exact method: the tiled method's, over float64 and an order of its own,
// with the bounds of rows beside the packed left operand and those of columns in the scratch.
#pragma once

#include "exact_columns.h"
#include "exact_settler.h"
#include "tiled_plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Terms of a run of the float64 sum: the bound grows with it, the cost of combining falls.
inline constexpr int64_t kExactRun = 128;

/// Products of float64 operands are not exact in float64, and bits drawn from the exact sum itself
/// need all of it.
inline bool float64_bounds_exact(const Task& task) {
  const bool drawn_from_the_sum = task.arithmetic.rounding == Rounding::Stochastic &&
                                  task.arithmetic.stochastic.keyed_by_operands;
  return task.order.exact() && task.scalar != Scalar::Float64 && !drawn_from_the_sum;
}

/// The order of the float64 sum in place of the task's.
inline void sum_in_float64(Task& task) {
  task.order = Order{OrderKind::Blocked, kExactRun};
  task.runs = schedule_of(task).runs();
  task.depth = stack_depth(task);
}

/// Roundings that a term passes through at most: its run, the combinations above it, and the bias,
/// which under a directed rounding counts twice.
inline int64_t exact_depth(const Task& task) {
  int64_t levels = 0;
  for (int64_t runs = task.runs; runs > 1; runs = (runs + 1) / 2) ++levels;
  return at_most(task.terms, kExactRun) + levels + 2;
}

/// One for each group and row, behind the packed left operand.
inline LeftBounds* left_bounds(const Task& task) {
  char* packed = static_cast<char*>(task.packed_left);
  return reinterpret_cast<LeftBounds*>(
      packed +
      aligned(task.problem.groups * task.rows * task.terms * static_cast<int64_t>(sizeof(double))));
}

inline int64_t column_bounds_bytes(const Task& task) {
  return aligned(task.tile_panels * ColumnBounds::kBytesPerPanel);
}

inline void plan_exact(Task& task) {
  sum_in_float64(task);
  plan_tiled<double>(task);
  task.left_items = task.problem.groups * task.row_tiles;  // bounds even where there are no terms
  const int64_t rows = task.problem.groups * task.rows;
  task.left_bytes = aligned(rows * task.terms * static_cast<int64_t>(sizeof(double))) +
                    rows * static_cast<int64_t>(sizeof(LeftBounds));
  task.scratch_bytes += column_bounds_bytes(task);
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
