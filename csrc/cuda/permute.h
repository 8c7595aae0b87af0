// SPDX-License-Identifier: MIT
// The permutations of shuffled orders (core/permutation.h), sorted where they are used: a bitonic
// network over (key, thing) pairs, for one permutation or for many of equal length side by side.
#pragma once

#include "../core/permutation.h"
#include "block.h"
#include "machine.h"
#include "values.h"

namespace fpdet::cuda {

struct Keyed {
  uint64_t key;
  int64_t thing;
};

/// The key of output number `output` of (group, row, column).
FPDET_HD inline ElementKey output_key(const Contraction& problem, const Draw& draw, uint64_t seed,
                                      int64_t output) {
  const int64_t cols = problem.cols.product(), rows = problem.rows.product();
  const Digits row = problem.rows.decode(output / cols % rows);
  const Digits col = problem.cols.decode(output % cols);
  const int64_t group = output / (rows * cols);
  return element_key(seed, draw.counter, draw.pass,
                     static_cast<uint32_t>(draw.batch_offset + problem.out.sample(group, col)),
                     static_cast<uint64_t>(problem.out.element(group, row, col)));
}

struct PermuteTask {
  Order order;
  Draw draw;
  Contraction problem;
  int64_t first;  ///< output that the first permutation is of, under vary=element
  int64_t terms;
  int64_t things;  ///< of one permutation
  int64_t padded;  ///< a power of two, not less
  int64_t permutations;
  Keyed* keyed;            ///< [permutation][padded]
  int64_t* sequence;       ///< [permutation][things]
  int64_t span, distance;  ///< of a step of the network
};

/// The pairs to be sorted. Padding comes last.
struct FillKeys {
  using Task = PermuteTask;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 4;
  FPDET_HD static constexpr Rounding rounding(const Task&) { return Rounding::NearestEven; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    const Draw draw = resolved(task.draw);
    const Schedule schedule(task.order, task.terms);
    for_share<FillKeys>(block, task.permutations * task.padded, [&](int64_t at) {
      const int64_t j = at % task.padded;
      if (j >= task.things) {
        task.keyed[at] = {~uint64_t{0}, INT64_MAX};
        return;
      }
      ElementKey key{};
      if (task.order.vary == Vary::Element) {
        key = output_key(task.problem, draw, task.order.seed, task.first + at / task.padded);
      }
      const int64_t thing = schedule.thing(j);
      const auto number = static_cast<uint64_t>(thing);
      task.keyed[at] = {permutation_key(task.order, number, draw.counter, key), thing};
    });
  }
};

/// One step: the pairs `distance` apart, ascending or descending by their span.
struct SortStep {
  using Task = PermuteTask;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 4;
  FPDET_HD static constexpr Rounding rounding(const Task&) { return Rounding::NearestEven; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    for_share<SortStep>(block, task.permutations * task.padded / 2, [&](int64_t pair) {
      const int64_t low = pair % task.distance + pair / task.distance * 2 * task.distance;
      const int64_t high = low + task.distance;
      const bool ascending = (low % task.padded & task.span) == 0;
      const Keyed a = task.keyed[low], b = task.keyed[high];
      const bool larger = a.key > b.key || (a.key == b.key && a.thing > b.thing);
      if (larger == ascending) {
        task.keyed[low] = b;
        task.keyed[high] = a;
      }
    });
  }
};

struct TakeSequence {
  using Task = PermuteTask;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 4;
  FPDET_HD static constexpr Rounding rounding(const Task&) { return Rounding::NearestEven; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    for_share<TakeSequence>(block, task.permutations * task.things, [&](int64_t i) {
      task.sequence[i] = task.keyed[i / task.things * task.padded + i % task.things].thing;
    });
  }
};

inline int64_t power_of_two_from(int64_t n) {
  int64_t p = 1;
  while (p < n) p *= 2;
  return p;
}

/// Bytes of one permutation while it is made.
inline int64_t permutation_bytes(const Order& order, int64_t terms) {
  const int64_t things = Schedule(order, terms).things();
  return power_of_two_from(things) * static_cast<int64_t>(sizeof(Keyed)) + things * 8;
}

/// A maker of `most` permutations at a time.
template <class Machine>
class Permuter {
 public:
  Permuter(Machine& machine, const Order& order, const Draw& draw, const Contraction& problem,
           int64_t most)
      : machine_(machine) {
    task_.order = order;
    task_.draw = draw;
    task_.problem = problem;
    task_.terms = problem.terms.product();
    task_.things = Schedule(order, task_.terms).things();
    task_.padded = power_of_two_from(task_.things);
    task_.keyed = machine.template allocate<Keyed>(most * task_.padded);
    task_.sequence = machine.template allocate<int64_t>(most * task_.things);
  }

  /// Of outputs first, first + 1, ...; the sequence of each has things() places.
  const int64_t* make(int64_t first, int64_t permutations) {
    task_.first = first;
    task_.permutations = permutations;
    launch<FillKeys>(permutations * task_.padded);
    for (task_.span = 2; task_.span <= task_.padded; task_.span *= 2) {
      for (task_.distance = task_.span / 2; task_.distance > 0; task_.distance /= 2) {
        launch<SortStep>(permutations * task_.padded / 2);
      }
    }
    launch<TakeSequence>(permutations * task_.things);
    return task_.sequence;
  }
  int64_t things() const { return task_.things; }

 private:
  template <class Kernel>
  void launch(int64_t count) {
    machine_.template launch<Kernel>(blocks_for<Kernel>(machine_, count), task_);
  }

  Machine& machine_;
  PermuteTask task_{};
};

}  // namespace fpdet::cuda
