// SPDX-License-Identifier: MIT
#include "carried_sums.h"

#include "../../core/partials.h"
#include "vec.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

constexpr int64_t kLanesOfSum = kLanes<double>;

using Sums = CarriedSum<V<double>>;

FPDET_INLINE Sums load_sums(const double* at, int64_t columns) {
  return {load(at), load(at + columns), load(at + 2 * columns), load(at + 3 * columns)};
}
FPDET_INLINE void store_sums(double* at, int64_t columns, const Sums& sums) {
  store(at, sums.sum);
  store(at + columns, sums.error);
  store(at + 2 * columns, sums.rest);
  store(at + 3 * columns, sums.lost);
}

/// N vectors of columns, to fill the time between dependent additions.
template <int N>
FPDET_INLINE void add_columns(const cpu::CarriedTask& task, const double* left, double* state,
                              int64_t column) {
  Sums sums[N];
  for (int i = 0; i < N; ++i) {
    sums[i] = load_sums(state + column + i * kLanesOfSum, task.columns);
  }
  const double* right = task.right + column;
  for (int64_t t = 0; t < task.terms; ++t, right += task.columns) {
    const V<double> a = broadcast(left[t]);
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) sums[i].add(a * load(right + i * kLanesOfSum));
  }
  for (int i = 0; i < N; ++i) {
    store_sums(state + column + i * kLanesOfSum, task.columns, sums[i]);
  }
}

}  // namespace

void carried_sums(const cpu::CarriedTask& task) {
  static_assert(cpu::kCarriedLanes % kLanesOfSum == 0);
  constexpr int kAtOnce = 2;
  for (int64_t row = 0; row < task.rows; ++row) {
    const double* left = task.left + row * task.terms;
    double* state = task.state + row * 4 * task.columns;
    int64_t column = 0;
    for (; column + kAtOnce * kLanesOfSum <= task.columns; column += kAtOnce * kLanesOfSum) {
      add_columns<kAtOnce>(task, left, state, column);
    }
    for (; column < task.columns; column += kLanesOfSum) add_columns<1>(task, left, state, column);
  }
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
