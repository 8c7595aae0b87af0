// SPDX-License-Identifier: MIT
// Plan and memory of the exact method: the tiled method's, over float64 and an order of its own,
// with the bounds of rows beside the packed left operand and those of columns in the scratch.
#pragma once

#include "exact_columns.h"
#include "tiled_plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Terms of a run of the float64 sum: the bound grows with it, the cost of combining falls.
inline constexpr int64_t kExactRun = 128;

/// Roundings that a term passes through at most: its run, the combinations above it, and the bias,
/// which under a directed rounding counts twice.
inline int64_t exact_depth(const Task& task) {
  int64_t levels = 0;
  for (int64_t runs = task.runs; runs > 1; runs = (runs + 1) / 2) ++levels;
  return at_most(task.terms, kExactRun) + levels + 2;
}

struct LeftBounds {
  double norm, quantum;
  bool plus, minus;  ///< some element has this sign
};
/// One for each group and row, behind the packed left operand.
inline LeftBounds* left_bounds(const Task& task) {
  char* packed = static_cast<char*>(task.packed_left);
  return reinterpret_cast<LeftBounds*>(
      packed +
      aligned(task.problem.groups * task.rows * task.terms * static_cast<int64_t>(sizeof(double))));
}

inline int64_t column_bounds_bytes(const Task& task) {
  return aligned(task.tile_panels * kPanel<double> * ColumnBounds::kBytesPerColumn);
}

inline void plan_exact(Task& task) {
  task.order = Order{OrderKind::Blocked, kExactRun};
  task.runs = schedule_of(task).runs();
  task.depth = stack_depth(task);
  plan_tiled<double>(task);
  task.left_items = task.problem.groups * task.row_tiles;  // bounds even where there are no terms
  const int64_t rows = task.problem.groups * task.rows;
  task.left_bytes = aligned(rows * task.terms * static_cast<int64_t>(sizeof(double))) +
                    rows * static_cast<int64_t>(sizeof(LeftBounds));
  task.scratch_bytes += column_bounds_bytes(task);
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
