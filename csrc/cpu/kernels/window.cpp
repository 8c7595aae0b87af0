// SPDX-License-Identifier: MIT
#include "method.h"
#include "window_runner.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

void plan(Task& task) {
  plan_for_accumulator(task, []<class T>(Task& t) { plan_window<T>(t); });
}

bool fits(Task task) {
  if (task.problem.outputs() == 0) return true;
  plan(task);
  return task.scratch_bytes <= kScratchLimit;
}

/// Terms visited in their sequence, one instruction each; right operands that a window can hold.
bool covers(const Task& task) {
  const OrderKind kind = task.order.kind;
  return tree_on_hardware(task) && task.arithmetic.fused && task.problem.product &&
         (kind == OrderKind::Sequential || kind == OrderKind::Blocked ||
          kind == OrderKind::Split) &&
         WindowGeometry(task.problem).regular && fits(task);
}

/// Lanes mostly filled, runs long enough to pay for the partials' way to memory.
bool suits(const Task& task) {
  const int64_t panel = double_accumulator(task) ? kPanel<double> : kPanel<float>;
  const int64_t filled = ceil_div(task.rows, panel) * panel;
  return task.terms > 0 && task.terms >= 32 * task.runs && task.rows * 8 >= filled * 5;
}

}  // namespace

const Method kWindow{
    "window", covers, suits, plan, [](const Task&, int64_t, int64_t) {}, run_items<WindowRunner>,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
