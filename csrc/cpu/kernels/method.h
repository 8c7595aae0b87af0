// SPDX-License-Identifier: MIT
// A method: one way to carry out a contraction, with the definition's bits. Each stands in a file
// of its name; contraction.cpp lists them.
#pragma once

#include "../../core/environment.h"
#include "../pieces.h"
#include "plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

struct Method {
  const char* name;
  bool (*covers)(const Task&);  ///< it can give the definition's bits
  bool (*suits)(const Task&);   ///< it is the fastest for this shape, if it covers it; asked first
  void (*plan)(Task&);          ///< sets items, tiles and memory
  /// Pieces [begin, end) of left_items: a packed operand that all items share.
  void (*pack_left)(const Task&, int64_t begin, int64_t end);
  /// The items that one thread is handed.
  void (*run)(const Task&, void* scratch, cpu::Pieces& items);
  /// Vectors of half the width do it better; null: never.
  bool (*suits_half)(const Task&) = nullptr;
};

extern const Method kAcrossSums;  ///< sums, lanes are outputs that lie side by side
extern const Method kAlongSums;   ///< sums of long runs whose terms do: lanes are runs
extern const Method kDirect;      ///< few rows or terms: lanes are outputs along padded lines
extern const Method kJoined;      ///< direct, for several parts at once over the same planes
extern const Method kGroupSlabs;  ///< many groups of few outputs, ascending terms: lanes are groups
extern const Method kGrouped;     ///< many groups of one row and few columns: lanes are groups
extern const Method kBroadcast;   ///< long sums (grad_weight): lanes are rows, columns are scalars
extern const Method kFolded;      ///< short runs: subtrees of the order in registers
extern const Method kWindow;      ///< many rows: lanes are rows, right operands from a window
extern const Method kTiled;       ///< packed panels, registers hold rows x columns: every shape
extern const Method kEmulated;    ///< operations that are no instructions: float64 lanes
extern const Method kExactDirect;  ///< order exact of few rows: direct in float64, as below
extern const Method kExact;        ///< order exact: a float64 sum, tested, and what the test leaves

/// Calls plan_typed.operator()<accumulator's type>(task).
template <class F>
void plan_for_accumulator(Task& task, F&& plan_typed) {
  if (double_accumulator(task)) {
    plan_typed.template operator()<double>(task);
  } else {
    plan_typed.template operator()<float>(task);
  }
}

/// Runs a thread's items on its runner: one for all of them, so that it can keep what the next
/// item needs again.
template <class Runner>
void run_each(Runner& runner, cpu::Pieces& items) {
  for (int64_t item = 0, end = 0; items.next(item, end);) {
    for (; item < end; ++item) runner.run(item);
  }
}

/// The same on a Runner<accumulator's type, element type> of this thread, under the rounding.
template <template <class, class> class Runner>
void run_items(const Task& task, void* scratch, cpu::Pieces& items) {
  const EnvironmentGuard guard(task.arithmetic.rounding);
  with_types(task, [&]<class T, class S>(T, S) {
    Runner<T, S> runner(task, scratch);
    run_each(runner, items);
  });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
