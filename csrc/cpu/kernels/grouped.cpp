// SPDX-License-Identifier: MIT
#include "grouped_runner.h"
#include "method.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

bool covers(const Task& task) {
  return tree_on_hardware(task) && task.problem.product && task.rows == 1 && task.terms > 0;
}

template <class T>
void plan_grouped(Task& task) {
  task.chunk = at_most(task.chunk, kChunk);
  task.col_tiles = ceil_div(task.cols, kGroupedColumns);
  task.items = ceil_div(task.problem.groups, kLanes<T>) * task.col_tiles;
  task.scratch_bytes = GroupedSizes<T>(task).total();
}

}  // namespace

const Method kGrouped{
    "grouped",
    covers,
    [](const Task& task) { return task.problem.groups > 2 && task.cols <= kGroupedMostColumns; },
    [](Task& task) { plan_for_accumulator(task, []<class T>(Task& t) { plan_grouped<T>(t); }); },
    nullptr,
    run_items<GroupedRunner>,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
