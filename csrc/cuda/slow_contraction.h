// SPDX-License-Identifier: MIT
// Every combination of rounding, order, format and fused on a GPU: a thread's loop around core's
// definition of one output element (core/reduce.h).
#pragma once

#include "../core/reduce.h"
#include "block.h"
#include "outline.h"
#include "permute.h"
#include "values.h"

namespace fpdet::cuda {

struct SlowTask {
  Contraction problem;
  Order order;
  Arithmetic arithmetic;
  Draw draw;
  Scalar scalar;
  const void* left;
  const void* right;
  const void* bias;
  int64_t bias_stride;
  void* out;
  int64_t first, count;  ///< outputs, numbered (group, row, column)
  /// Where not null, the outputs are those listed, *listed of them.
  const int64_t* list;
  const int64_t* listed;
  const int64_t* permutation;  ///< of the order; null where it has none
  int64_t permutation_step;    ///< from one output's to the next; 0: one for all
};

/// Product: whether terms are products.
template <bool Product>
struct SlowContraction {
  using Task = SlowTask;
  using Shared = Nothing;
  static constexpr int kThreads = 128, kResident = 1;
  FPDET_HD static Rounding rounding(const Task& task) { return task.arithmetic.rounding; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    const Arith arith(task.arithmetic, operands_fit(task.scalar, task.arithmetic.format));
    const Draw draw = resolved(task.draw);
    ExactSum sum;
    const int64_t count = task.list != nullptr ? *task.listed : task.count;
    for_share<SlowContraction>(block, count, [&](int64_t i) {
      one(task, arith, draw, i, task.list != nullptr ? task.list[i] : task.first + i, sum);
    });
  }

 private:
  FPDET_HD static void one(const Task& task, const Arith& arith, const Draw& draw, int64_t i,
                           int64_t output, ExactSum& sum) {
    const Contraction& problem = task.problem;
    const int64_t rows = problem.rows.product(), cols = problem.cols.product();
    const int64_t group = output / (rows * cols);
    const int64_t row_number = output / cols % rows;
    const Digits row = problem.rows.decode(row_number);
    const Digits col = problem.cols.decode(output % cols);

    RandomBits random(task.arithmetic.stochastic, ElementKey{});
    if (task.arithmetic.rounding == Rounding::Stochastic) {
      random = RandomBits(task.arithmetic.stochastic, output_key(problem, draw, draw.seed, output));
    }
    double bias = 0.0;
    if (task.bias != nullptr) {
      bias = load_element(task.scalar, task.bias, (group * rows + row_number) * task.bias_stride);
    }
    TermCursor cursor(problem, AnyElements{task.scalar, task.left},
                      AnyElements{task.scalar, task.right}, group, row, col);
    const Format format = element_format(task.scalar);
    const Schedule schedule(task.order, problem.terms.product(),
                            task.permutation + i * task.permutation_step);
    const double result = reduce<Product>(task.order, schedule, arith, cursor, random,
                                          task.bias != nullptr ? &bias : nullptr, format, sum);
    store_element(task.scalar, task.out, problem.out.offset(group, row, col), result);
  }
};

inline SlowTask slow_task(const ContractionCall& call) {
  return {
      call.problem, call.order, call.arithmetic,  call.draw, call.scalar, call.left,
      call.right,   call.bias,  call.bias_stride, call.out,  0,           call.problem.outputs(),
      nullptr,      nullptr,    nullptr,          0};
}

template <class Machine>
void launch_slow(Machine& machine, const SlowTask& task, int64_t count) {
  if (task.problem.product) {
    using Kernel = SlowContraction<true>;
    machine.template launch<Kernel>(blocks_for<Kernel>(machine, count), task);
  } else {
    using Kernel = SlowContraction<false>;
    machine.template launch<Kernel>(blocks_for<Kernel>(machine, count), task);
  }
}

/// One problem, without rest.
template <class Machine>
void slow_contraction(const ContractionCall& call, Machine& machine) {
  constexpr int64_t kPermutationBytes = int64_t{256} << 20;
  SlowTask task = slow_task(call);
  if (task.count == 0) return;
  const int64_t terms = call.problem.terms.product();
  const bool permuted = call.order.permuted() && terms > 0;
  const bool own = permuted && call.order.vary == Vary::Element;
  if (!own) {
    if (permuted) {
      task.permutation = Permuter(machine, call.order, call.draw, call.problem, 1).make(0, 1);
    }
    return launch_slow(machine, task, task.count);
  }
  int64_t most = kPermutationBytes / permutation_bytes(call.order, terms);
  most = most < 1 ? 1 : most > task.count ? task.count : most;
  Permuter permuter(machine, call.order, call.draw, call.problem, most);
  task.permutation_step = permuter.things();
  const int64_t outputs = task.count;
  for (task.first = 0; task.first < outputs; task.first += most) {
    task.count = most < outputs - task.first ? most : outputs - task.first;
    task.permutation = permuter.make(task.first, task.count);
    launch_slow(machine, task, task.count);
  }
}

}  // namespace fpdet::cuda
