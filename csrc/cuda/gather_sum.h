// SPDX-License-Identifier: MIT
// Ordered sums of chosen lines on a GPU: every combination, a thread's loop around core's
// definition (core/gather_sum.h) for each output. Sums have different numbers of terms, so the
// permutations of shuffled orders are not sorted side by side (permute.h): each thing's rank in its
// sum is counted.
#pragma once

#include "outline.h"
// outline.h stands before all of core

#include "../calls/gather_sum.h"
#include "../core/permutation.h"
#include "../core/reduce.h"
#include "block.h"
#include "machine.h"
#include "values.h"

namespace fpdet::cuda {

struct GatherTask {
  GatherSumCall call;
  int64_t first_column, column_count;  ///< of this launch
  /// Things of a sum begin at the place of its first term, counted from the first sum's.
  uint64_t* keys;     ///< [permutation][place]
  int64_t* sequence;  ///< [permutation][place]
  int64_t permutations;
  bool by_column;  ///< permutation i is of column first_column + i, or the only one of all

  FPDET_HD int64_t place(int64_t sum) const { return call.offsets[sum] - call.offsets[0]; }
  FPDET_HD int64_t terms(int64_t sum) const { return call.offsets[sum + 1] - call.offsets[sum]; }
  /// The sum that a place belongs to: the last one that begins at or before it.
  FPDET_HD int64_t sum_of(int64_t at) const {
    int64_t low = 0, high = call.sums;
    while (high - low > 1) {
      const int64_t middle = low + (high - low) / 2;
      (at < place(middle) ? high : low) = middle;
    }
    return low;
  }
  FPDET_HD ElementKey key(const Draw& draw, uint64_t seed, int64_t sum, int64_t column) const {
    return element_key(seed, draw.counter, draw.pass,
                       static_cast<uint32_t>(draw.batch_offset + sum),
                       static_cast<uint64_t>(column));
  }
};

/// f(place in keys and sequence, sum, thing number in its sum, permutation) for all things.
template <class Kernel, class Block, class F>
FPDET_HD void for_things(const GatherTask& task, const Block& block, F&& f) {
  for_share<Kernel>(block, task.permutations * task.call.terms, [&](int64_t at) {
    const int64_t permutation = at / task.call.terms, place = at % task.call.terms;
    const int64_t sum = task.sum_of(place), thing = place - task.place(sum);
    if (thing < Schedule(task.call.order, task.terms(sum)).things()) f(at, sum, thing, permutation);
  });
}

struct GatherKeys {
  using Task = GatherTask;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 4;
  FPDET_HD static constexpr Rounding rounding(const Task&) { return Rounding::NearestEven; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    const Draw draw = resolved(task.call.draw);
    const Order& order = task.call.order;
    for_things<GatherKeys>(task, block, [&](int64_t at, int64_t sum, int64_t j, int64_t number) {
      const ElementKey key = task.by_column
                                 ? task.key(draw, order.seed, sum, task.first_column + number)
                                 : ElementKey{};
      const int64_t thing = Schedule(order, task.terms(sum)).thing(j);
      task.keys[at] = permutation_key(order, static_cast<uint64_t>(thing), draw.counter, key);
    });
  }
};

struct RankThings {
  using Task = GatherTask;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 4;
  FPDET_HD static constexpr Rounding rounding(const Task&) { return Rounding::NearestEven; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    for_things<RankThings>(task, block, [&](int64_t at, int64_t sum, int64_t j, int64_t) {
      const Schedule schedule(task.call.order, task.terms(sum));
      const int64_t first = at - j;
      int64_t rank = 0;
      for (int64_t i = 0; i < schedule.things(); ++i) {
        const uint64_t other = task.keys[first + i];
        rank += other < task.keys[at] || (other == task.keys[at] && i < j) ? 1 : 0;
      }
      task.sequence[first + rank] = schedule.thing(j);
    });
  }
};

/// Product: whether terms are products with weights.
template <bool Product>
struct GatherSums {
  using Task = GatherTask;
  using Shared = Nothing;
  static constexpr int kThreads = 128, kResident = 1;
  FPDET_HD static Rounding rounding(const Task& task) { return task.call.arithmetic.rounding; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    const GatherSumCall& call = task.call;
    const Draw draw = resolved(call.draw);
    const Arith arith(call.arithmetic, operands_fit(call.scalar, call.arithmetic.format));
    ExactSum exact;
    for_share<GatherSums>(block, call.sums * task.column_count, [&](int64_t i) {
      one(task, arith, draw, i / task.column_count, i % task.column_count, exact);
    });
  }

 private:
  FPDET_HD static void one(const Task& task, const Arith& arith, const Draw& draw, int64_t sum,
                           int64_t number, ExactSum& exact) {
    const GatherSumCall& call = task.call;
    const int64_t column = task.first_column + number;
    const Arithmetic& arithmetic = call.arithmetic;
    RandomBits random;
    if (arithmetic.rounding == Rounding::Stochastic) {
      random = RandomBits(arithmetic.stochastic, task.key(draw, draw.seed, sum, column));
    }
    const int64_t* sequence = task.sequence;
    if (sequence != nullptr) {
      sequence += task.place(sum) + (task.by_column ? number * call.terms : 0);
    }
    GatherCursor cursor(AnyElements{call.scalar, call.x}, column, call.x_line, call.indices,
                        AnyElements{call.scalar, call.weights}, call.weight_step,
                        call.offsets[sum]);
    const double result =
        reduce<Product>(call.order, Schedule(call.order, task.terms(sum), sequence), arith, cursor,
                        random, nullptr, element_format(call.scalar), exact);
    store_element(call.scalar, call.out, sum * call.columns + column, result);
  }
};

template <class Kernel, class Machine>
void launch_gather(Machine& machine, const GatherTask& task, int64_t count) {
  machine.template launch<Kernel>(blocks_for<Kernel>(machine, count), task);
}

/// Columns at once whose permutations, where each has its own, fit into so much memory.
inline constexpr int64_t kGatherPermutationBytes = int64_t{256} << 20;

template <class Machine>
void gather_sums(const GatherSumCall& call, Machine& machine,
                 int64_t most_bytes = kGatherPermutationBytes) {
  GatherTask task{call, 0, call.columns, nullptr, nullptr, 1, false};
  const bool permuted = call.order.permuted() && call.terms > 0;
  task.by_column = permuted && call.order.vary == Vary::Element;
  if (task.by_column) {
    const int64_t most = most_bytes / (16 * call.terms);
    task.column_count = most < 1 ? 1 : most < call.columns ? most : call.columns;
    task.permutations = task.column_count;
  }
  if (permuted) {
    task.keys = machine.template allocate<uint64_t>(task.permutations * call.terms);
    task.sequence = machine.template allocate<int64_t>(task.permutations * call.terms);
  }
  const int64_t step = task.column_count;
  for (; task.first_column < call.columns; task.first_column += step) {
    const int64_t rest = call.columns - task.first_column;
    task.column_count = rest < step ? rest : step;
    if (task.by_column) task.permutations = task.column_count;
    if (permuted && (task.by_column || task.first_column == 0)) {
      launch_gather<GatherKeys>(machine, task, task.permutations * call.terms);
      launch_gather<RankThings>(machine, task, task.permutations * call.terms);
    }
    const int64_t outputs = call.sums * task.column_count;
    if (call.weights != nullptr) {
      launch_gather<GatherSums<true>>(machine, task, outputs);
    } else {
      launch_gather<GatherSums<false>>(machine, task, outputs);
    }
  }
}

}  // namespace fpdet::cuda
