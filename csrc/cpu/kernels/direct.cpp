// SPDX-License-Identifier: MIT
#include "direct_runner.h"
#include "method.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

template <class T>
bool fits(const Task& task) {
  return DirectSizes<T>(task, direct_box<T>(task)).total() <= kScratchLimit;
}

/// Whether the planes of the first part serve another one.
bool alike(const Contraction& a, const Contraction& b) {
  bool same = a.groups == b.groups && a.rows.d[0] == b.rows.d[0] && a.cols.d[0] == b.cols.d[0] &&
              a.terms.d[0] == b.terms.d[0] && a.right.group_offset == b.right.group_offset &&
              a.right.outer.offset.w[0] == b.right.outer.offset.w[0] &&
              a.right.term.offset.w[0] == b.right.term.offset.w[0];
  for (int i = 0; i < kAxes; ++i) {
    same = same && a.right.extent[i] == b.right.extent[i] &&
           a.right.outer.step[i] == b.right.outer.step[i] &&
           a.right.outer.offset.w[i + 1] == b.right.outer.offset.w[i + 1] &&
           a.out.col.w[i + 1] == b.out.col.w[i + 1];
  }
  return same && a.out.row.w[0] == b.out.row.w[0] && a.out.group_offset == b.out.group_offset;
}

bool covers_parts(const Task& task) {
  if (!tree_on_hardware(task) || !task.problem.product || task.rows != task.problem.rows.d[0]) {
    return false;
  }
  const Parts parts(task);
  for (int64_t i = 0; i < parts.count; ++i) {
    if (!left_is_whole(parts[i].left) || !has_planes(parts[i]) || !alike(parts[0], parts[i])) {
      return false;
    }
  }
  const int64_t terms = all_terms(parts);
  if (terms > kMostTerms || task.rows * terms > kMostWeights) return false;
  return double_accumulator(task) ? fits<double>(task) : fits<float>(task);
}

bool covers(const Task& task) { return task.terms > 0 && covers_parts(task); }

bool covers_joined(const Task& task) {
  return task.part_count > 1 && task.part_count <= kDirectParts && !task.order.permuted() &&
         covers_parts(task);
}

bool suits(const Task& task) { return task.rows <= 2 && all_columns(Parts(task)).x[2] >= 4; }

template <class T>
void plan_direct(Task& task) {
  task.row_tiles = ceil_div(task.rows, kDirectRows);
  const Box box = direct_box<T>(task);
  task.items =
      task.problem.groups * task.problem.cols.d[0] * DirectBoxes(Parts(task), box).product();
  task.scratch_bytes = DirectSizes<T>(task, box).total();
}

}  // namespace

const Method kDirect{
    "direct",
    covers,
    suits,
    [](Task& task) { plan_for_accumulator(task, []<class T>(Task& t) { plan_direct<T>(t); }); },
    nullptr,
    run_items<DirectRunner>,
};

const Method kJoined{
    "joined", covers_joined, suits, kDirect.plan, nullptr, kDirect.run,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
