// SPDX-License-Identifier: MIT
#include "exact_runner.h"
#include "left.h"
#include "method.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

/// Products of float64 operands are not exact in float64, and bits drawn from the exact sum itself
/// need all of it.
bool covers(const Task& task) {
  const bool drawn_from_the_sum = task.arithmetic.rounding == Rounding::Stochastic &&
                                  task.arithmetic.stochastic.keyed_by_operands;
  return task.order.exact() && task.scalar != Scalar::Float64 && !drawn_from_the_sum;
}

template <class F>
void with_narrow_scalar(const Task& task, F&& f) {
  with_scalar(task.scalar, [&]<class S>(S element) {
    if constexpr (!__is_same(S, double)) f(element);
  });
}

/// Packs a micro-tile's rows and notes their bounds.
void pack_rows(const Task& task, int64_t begin, int64_t end) {
  const EnvironmentGuard guard(Rounding::NearestEven);
  with_narrow_scalar(task, [&]<class S>(S) { pack_left_typed<double, S>(task, begin, end); });
  for (int64_t item = begin; item < end; ++item) {
    const RowTile tile = row_tile(task, item % task.row_tiles);
    const int64_t first = item / task.row_tiles * task.rows + tile.first;
    const double* packed = static_cast<const double*>(task.packed_left) + first * task.terms;
    Observed rows[kMaxRows];
    find_observe_rows(tile.rows)(packed, task.terms, rows);
    for (int r = 0; r < tile.rows; ++r) {
      const Observed& row = rows[r];
      left_bounds(task)[first + r] = {norm_from(row.squares), quantum_from(row.least, row.any),
                                      row.plus, row.minus};
    }
  }
}

void run(const Task& task, void* scratch, int64_t begin, int64_t end) {
  const EnvironmentGuard guard(Rounding::NearestEven);
  with_narrow_scalar(task, [&]<class S>(S) {
    ExactRunner<S> runner(task, scratch);
    for (int64_t item = begin; item < end; ++item) runner.run(item);
  });
}

}  // namespace

const Method kExact{
    "exact", covers, [](const Task&) { return true; }, plan_exact, pack_rows, run,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
