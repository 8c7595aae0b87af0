// SPDX-License-Identifier: MIT
#include "direct_runner.h"
#include "left.h"
#include "method.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

bool covers(const Task& task) {
  return tree_on_hardware(task) && task.problem.product && task.rows <= kDirectRows &&
         task.terms > 0 && task.terms <= kDirectTerms && task.problem.cols.d[3] <= kDirectColumns;
}

template <class T>
void plan_direct(Task& task) {
  task.row_tiles = 1;
  task.chunk = task.terms;
  task.items = task.problem.groups * task.problem.cols.d[0];
  task.left_items = task.problem.groups;
  task.left_bytes = task.problem.groups * task.rows * task.terms * static_cast<int64_t>(sizeof(T));
  task.scratch_bytes = DirectSizes<T>(task).total();
}

}  // namespace

const Method kDirect{
    "direct",
    covers,
    [](const Task& task) { return task.problem.cols.d[3] >= 4; },
    [](Task& task) { plan_for_accumulator(task, []<class T>(Task& t) { plan_direct<T>(t); }); },
    pack_left,
    run_items<DirectRunner>,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
