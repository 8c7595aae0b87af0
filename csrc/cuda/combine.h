// SPDX-License-Identifier: MIT
// From the partials of run groups ([group of runs][output]) to results: pairwise in passes of up to
// eight neighbours, or first to last, then bias and conversion.
#pragma once

#include "outline.h"
// outline.h stands before all of core

#include "hardware_ops.h"
#include "machine.h"
#include "values.h"

namespace fpdet::cuda {

inline constexpr int kFoldAtOnce = 8;

struct CombineTask {
  Contraction problem;
  Scalar scalar;
  Rounding rounding;
  bool first_to_last;
  const void* bias;
  int64_t bias_stride;
  void* out;
  int64_t outputs;
  int64_t partials_count;  ///< of one output
  const void* partials;
  void* fewer;  ///< of one pass: [ceil(partials / kFoldAtOnce)][output]

  FPDET_HD int64_t fewer_count() const { return (partials_count + kFoldAtOnce - 1) / kFoldAtOnce; }
};

/// Pairwise sum of the n <= kFoldAtOnce partials from `first` on: neighbours, then neighbours of
/// those, which splits n at the largest power of two below it.
template <Rounding R, class A>
FPDET_HD inline A fold_pairwise(const A* partials, int64_t outputs, int64_t output, int64_t first,
                                int64_t n) {
  A p[kFoldAtOnce];
  FPDET_UNROLL_ALL
  for (int i = 0; i < kFoldAtOnce; ++i) {
    p[i] = i < n ? partials[(first + i) * outputs + output] : A{0};
  }
  FPDET_UNROLL_ALL
  for (int step = 1; step < kFoldAtOnce; step *= 2) {
    FPDET_UNROLL_ALL
    for (int i = 0; i + step < kFoldAtOnce; i += 2 * step) {
      if (i + step < n) p[i] = ieee_add<R>(p[i], p[i + step]);
    }
  }
  return p[0];
}

/// All of an output's partials, of which there are few or which are combined first to last.
template <Rounding R, class A>
FPDET_HD inline A fold_all(const CombineTask& task, int64_t output) {
  const A* partials = static_cast<const A*>(task.partials);
  if (!task.first_to_last) {
    return fold_pairwise<R>(partials, task.outputs, output, 0, task.partials_count);
  }
  A sum = partials[output];
  for (int64_t i = 1; i < task.partials_count; ++i) {
    sum = ieee_add<R>(sum, partials[i * task.outputs + output]);
  }
  return sum;
}

/// One pass.
template <class A>
struct CombinePass {
  using Task = CombineTask;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 4;
  FPDET_HD static Rounding rounding(const Task& task) { return task.rounding; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    with_hardware_rounding(task.rounding, [&]<Rounding R>() {
      for_share<CombinePass>(block, task.fewer_count() * task.outputs, [&](int64_t at) {
        const int64_t first = at / task.outputs * kFoldAtOnce;
        const int64_t rest = task.partials_count - first;
        static_cast<A*>(task.fewer)[at] =
            fold_pairwise<R>(static_cast<const A*>(task.partials), task.outputs, at % task.outputs,
                             first, rest < kFoldAtOnce ? rest : int64_t{kFoldAtOnce});
      });
    });
  }
};

/// Group, row and column of an output's number.
struct OutputPlace {
  int64_t group, row_number;
  Digits row, col;

  FPDET_HD OutputPlace(const Contraction& problem, int64_t output) {
    const int64_t rows = problem.rows.product(), cols = problem.cols.product();
    group = output / (rows * cols);
    row_number = output / cols - group * rows;
    row = problem.rows.decode(row_number);
    col = problem.cols.decode(output % cols);
  }
};

/// What is left, bias, conversion.
template <class A>
struct Finish {
  using Task = CombineTask;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 2;
  FPDET_HD static Rounding rounding(const Task& task) { return task.rounding; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    with_hardware_rounding(task.rounding, [&]<Rounding R>() {
      for_share<Finish>(block, task.outputs, [&](int64_t output) {
        const Contraction& problem = task.problem;
        const OutputPlace at(problem, output);
        A sum = fold_all<R, A>(task, output);
        if (task.bias != nullptr) {
          const int64_t number = at.group * problem.rows.product() + at.row_number;
          const double bias = load_element(task.scalar, task.bias, number * task.bias_stride);
          sum = ieee_add<R>(sum, static_cast<A>(bias));
        }
        double result = static_cast<double>(sum);
        if (task.scalar == Scalar::BFloat16 || task.scalar == Scalar::Float16) {
          const Format own = element_format(task.scalar);
          result = soft_round(result, own, task.rounding, StochasticSpec{}, 0);
        }
        store_element(task.scalar, task.out, problem.out.offset(at.group, at.row, at.col), result);
      });
    });
  }
};

/// Passes until one thread of the last step can take the rest of an output.
template <class A, class Machine>
void combine(CombineTask& task, Machine& machine) {
  while (!task.first_to_last && task.partials_count > kFoldAtOnce) {
    task.fewer = machine.template allocate<A>(task.fewer_count() * task.outputs);
    using Kernel = CombinePass<A>;
    const int64_t blocks = blocks_for<Kernel>(machine, task.fewer_count() * task.outputs);
    machine.template launch<Kernel>(blocks, task);
    task.partials_count = task.fewer_count();
    task.partials = task.fewer;
  }
}

}  // namespace fpdet::cuda
