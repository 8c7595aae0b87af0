// SPDX-License-Identifier: MIT
#include "exact_runner.h"
#include "left.h"
#include "method.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

/// Packs a micro-tile's rows and notes their bounds.
void pack_rows(const Task& task, int64_t begin, int64_t end) {
  const EnvironmentGuard guard(Rounding::NearestEven);
  with_narrow_scalar(task.scalar,
                     [&]<class S>(S) { pack_left_typed<double, S>(task, begin, end); });
  for (int64_t item = begin; item < end; ++item) {
    const RowTile tile = row_tile(task, item % task.row_tiles);
    const int64_t first = item / task.row_tiles * task.rows + tile.first;
    const double* packed = static_cast<const double*>(task.packed_left) + first * task.terms;
    Observed rows[kMaxRows];
    find_observe_rows(tile.rows)(packed, task.terms, rows);
    for (int r = 0; r < tile.rows; ++r) left_bounds(task)[first + r] = left_bounds_of(rows[r]);
  }
}

void run(const Task& task, void* scratch, cpu::Pieces& items) {
  const EnvironmentGuard guard(Rounding::NearestEven);
  with_narrow_scalar(task.scalar, [&]<class S>(S) {
    ExactRunner<S> runner(task, scratch);
    run_each(runner, items);
  });
}

}  // namespace

const Method kExact{
    "exact", float64_bounds_exact, [](const Task&) { return true; }, plan_exact, pack_rows, run,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
