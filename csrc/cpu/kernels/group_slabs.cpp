// SPDX-License-Identifier: MIT
#include "group_slabs_runner.h"
#include "method.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

constexpr int64_t kFewOutputs = 256;

bool ascending(const Order& order) {
  return order.kind == OrderKind::Sequential || order.kind == OrderKind::Blocked ||
         order.kind == OrderKind::Split;
}

template <class T>
bool fits(const Task& task) {
  return GroupSlabSizes<T>(task, GroupSlabLayout<T>(task)).total() <= kScratchLimit;
}

bool covers(const Task& task) {
  if (!tree_on_hardware(task) || !task.problem.product || !ascending(task.order) ||
      !left_is_whole(task.problem.left) || !has_group_slabs(task.problem)) {
    return false;
  }
  if (task.rows != task.problem.rows.d[0] || task.rows * task.cols > kGroupSlabOutputs ||
      task.terms == 0 || task.cols == 0) {
    return false;
  }
  return double_accumulator(task) ? fits<double>(task) : fits<float>(task);
}

/// Groups enough to fill the lanes, or outputs too few for any other method.
bool suits(const Task& task) {
  return task.problem.groups >= 8 ||
         (task.problem.groups > 2 && task.rows * task.cols <= kFewOutputs);
}

template <class T>
void plan_group_slabs(Task& task) {
  task.col_tiles = ceil_div(task.cols, kGroupedColumns);
  task.items = ceil_div(task.problem.groups, kLanes<T>) * group_slab_parts<T>(task);
  task.scratch_bytes = GroupSlabSizes<T>(task, GroupSlabLayout<T>(task)).total();
}

}  // namespace

const Method kGroupSlabs{
    "group_slabs",
    covers,
    suits,
    [](Task& task) {
      plan_for_accumulator(task, []<class T>(Task& t) { plan_group_slabs<T>(t); });
    },
    nullptr,
    run_items<GroupSlabRunner>,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
