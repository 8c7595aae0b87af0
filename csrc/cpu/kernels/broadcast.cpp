// SPDX-License-Identifier: MIT
// Long sums, few outputs (grad_weight): rows are lanes, columns are scalars broadcast from a copy
// of the right operand in which all taps of a window share their elements.
#include "broadcast_runner.h"
#include "method.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

/// Orders whose runs are stretches of terms in ascending sequence.
bool visits_in_sequence(const Order& order) {
  return order.kind == OrderKind::Sequential || order.kind == OrderKind::Blocked ||
         order.kind == OrderKind::Split;
}

bool covers(const Task& task) {
  const Contraction& problem = task.problem;
  if (!tree_on_hardware(task) || !problem.product || !visits_in_sequence(task.order)) return false;
  if (task.terms == 0 || task.cols == 0 || task.bias != nullptr) return false;
  if (!has_plain_rows(problem)) return false;
  return double_accumulator(task) ? BroadcastPlan<double>(task).possible()
                                  : BroadcastPlan<float>(task).possible();
}

/// Runs long enough to pay for the partials' way to memory, rows enough to fill the lanes.
bool suits(const Task& task) {
  const int64_t lanes = double_accumulator(task) ? kLanes<double> : kLanes<float>;
  const int64_t filled = ceil_div(task.rows, lanes) * lanes;
  return !task.problem.out.has_samples() && task.terms >= 32 * schedule_of(task).runs() &&
         4 * task.rows >= 3 * filled;
}

template <class T>
void plan_broadcast(Task& task) {
  const BroadcastPlan<T> plan(task);
  task.items = task.problem.groups * plan.row_parts * plan.col_parts;
  task.left_items = 0;
  task.left_bytes = 0;
  task.scratch_bytes = plan.scratch();
}

}  // namespace

const Method kBroadcast{
    "broadcast",
    covers,
    suits,
    [](Task& task) { plan_for_accumulator(task, []<class T>(Task& t) { plan_broadcast<T>(t); }); },
    nullptr,
    run_items<BroadcastRunner>,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
