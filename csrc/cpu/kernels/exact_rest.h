// SPDX-License-Identifier: MIT
// Stages 3 and 4 of the exact method (core/exact_stages.h): one output at a time.
#pragma once

#include "../../core/environment.h"
#include "../../core/reduce.h"
#include "exact_bounds.h"
#include "task.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// An output that the float64 sum did not settle.
struct Unsettled {
  int64_t group;
  Digits row, col;
  const double* left;  ///< packed: term t at left[t * left_step]; or null
  int64_t left_step;
  const double* bias;  ///< or null
  RandomBits random;
};

/// Calls f(a, b, n) with the operands of n <= kLanes terms at a time.
template <class S, class F>
void for_operands(const Task& task, const Unsettled& at, F&& f) {
  constexpr int kW = kLanes<double>;
  if (at.left == nullptr) {
    TermCursor<Elements<S>> cursor(task.problem, Elements<S>{static_cast<const S*>(task.left)},
                                   Elements<S>{static_cast<const S*>(task.right)}, at.group, at.row,
                                   at.col);
    for (int64_t t = 0; t < task.terms; ++t) {
      t == 0 ? cursor.seek(0) : cursor.advance();
      const double a = cursor.left(), b = cursor.right();
      f(&a, &b, 1);
    }
    return;
  }
  const Operand& operand = task.problem.right;
  const Digits& terms = task.problem.terms;
  const S* data = static_cast<const S*>(task.right) + at.group * operand.group_offset;
  const Place outer = operand.origin + operand.outer.place(at.col);
  double a[kW], b[kW];
  int n = 0;
  const double* left = at.left;
  Digits d{{0, 0, 0, 0}};
  for (d.d[0] = 0; d.d[0] < terms.d[0]; ++d.d[0]) {
    for (d.d[1] = 0; d.d[1] < terms.d[1]; ++d.d[1]) {
      for (d.d[2] = 0; d.d[2] < terms.d[2]; ++d.d[2]) {
        d.d[3] = 0;
        Place place = outer + operand.term.place(d);
        const bool line = place.x[0] >= 0 && place.x[0] < operand.extent[0] && place.x[1] >= 0 &&
                          place.x[1] < operand.extent[1];
        for (int64_t i = 0; i < terms.d[3]; ++i) {
          const bool inside = line && place.x[2] >= 0 && place.x[2] < operand.extent[2];
          a[n] = *left;
          b[n] = inside ? to_accumulator<double>(data[place.offset]) : 0.0;
          left += at.left_step;
          place.offset += operand.term.offset.w[3];
          place.x[2] += operand.term.step[2];
          if (++n == kW) {
            f(a, b, kW);
            n = 0;
          }
        }
      }
    }
  }
  if (n > 0) f(a, b, n);
}

/// Stage 3. To be called under round to nearest; false where stage 4 is needed.
template <class S>
__attribute__((noinline)) bool settle_by_errors(const Task& task, Unsettled& at, uint32_t random,
                                                double& result) {
  ErrorFreeSum<V<double>> lanes;
  ErrorFreeSum<double> all;
  if (at.bias != nullptr) all.add(*at.bias);
  for_operands<S>(task, at, [&](const double* a, const double* b, int n) {
    if (n == kLanes<double>) {
      lanes.add(load<double>(a) * load<double>(b));
    } else {
      for (int i = 0; i < n; ++i) all.add(a[i] * b[i]);
    }
  });
  for (int l = 0; l < kLanes<double>; ++l) {
    all.add(lanes.sum[l]);
    all.add(lanes.error[l]);
    all.lost += lanes.lost[l];
  }
  if (!(all.lost == 0.0)) return false;
  if (all.sum + all.error == 0.0) {
    TermCursor<Elements<S>> cursor(task.problem, Elements<S>{static_cast<const S*>(task.left)},
                                   Elements<S>{static_cast<const S*>(task.right)}, at.group, at.row,
                                   at.col);
    result = exact_zero(cursor, task.terms, at.bias, task.arithmetic.rounding);
    return true;
  }
  result = round_pair(all.sum, all.error, kFormatOf<S>, task.arithmetic.rounding,
                      task.arithmetic.stochastic, random);
  return true;
}

/// Stage 4: the definition.
template <class S>
__attribute__((noinline)) double settle_by_definition(const Task& task, Unsettled& at) {
  ExactSum sum;
  TermCursor<Elements<S>> cursor(task.problem, Elements<S>{static_cast<const S*>(task.left)},
                                 Elements<S>{static_cast<const S*>(task.right)}, at.group, at.row,
                                 at.col);
  return task.problem.product
             ? detail::reduce_exact<true>(task.terms, at.bias, kFormatOf<S>, task.arithmetic,
                                          cursor, at.random, sum)
             : detail::reduce_exact<false>(task.terms, at.bias, kFormatOf<S>, task.arithmetic,
                                           cursor, at.random, sum);
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
