// SPDX-License-Identifier: MIT
#include "direct_runner.h"
#include "method.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

constexpr int64_t kMostTermsOfWeights = 4096;  // grad_weight: other methods sum more of them
constexpr int64_t kMostRows = 12;              // more rows fill the lanes of other methods

template <class T>
bool fits(const Task& task) {
  const Box box = direct_box<T>(task);
  return DirectSizes<T>(task, box, direct_samples<T>(task, box)).total() <= kScratchLimit;
}

/// Whether the planes of the first part serve another one.
bool alike(const Contraction& a, const Contraction& b) {
  bool same = a.groups == b.groups && a.rows.d[0] == b.rows.d[0] && a.cols.d[0] == b.cols.d[0] &&
              a.out.col.w[0] == b.out.col.w[0] && a.terms.d[0] == b.terms.d[0] &&
              a.right.group_offset == b.right.group_offset &&
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

/// One or two rows never pay for packed panels. More do not
/// - where they are too few for the lanes of other methods, and planes are wide enough and meet
///   enough terms to pay for their copies;
/// - where terms are few: the planes stay in the first cache, and nothing else is copied.
/// Vectors must be mostly filled, and runs pay for the partials' way to memory.
bool suits(const Task& task) {
  const Parts parts(task);
  const int64_t width = all_columns(parts).x[2], terms = all_terms(parts);
  const bool samples = task.problem.out.has_samples();
  if (task.rows <= 2) return width >= 4 && (samples || terms <= kMostTermsOfWeights);
  const int64_t lanes = double_accumulator(task) ? kLanes<double> : kLanes<float>;
  int64_t runs = 0;
  for (int64_t i = 0; i < parts.count; ++i) {
    runs += Schedule(task.order, parts[i].terms.product(), task.permutation).runs();
  }
  if (!samples || terms < 4 * runs) return false;
  const int64_t channels = parts[0].terms.d[0];
  const bool has_taps = terms > channels * parts.count, wide = width >= 32;
  if (task.rows <= kMostRows && 2 * width > lanes) {
    if (has_taps ? channels <= 512 : channels <= 128 && wide) return true;
  }
  const bool filled = 4 * width >= 3 * lanes * ceil_div(width, lanes);
  return filled && terms <= (wide ? (has_taps ? 160 : 64) : has_taps ? 64 : 32);
}

/// Whether vectors of half the width would have fewer empty lanes.
bool leaves_half_empty(const Task& task) {
  const int64_t width = all_columns(Parts(task)).x[2];
  const int64_t lanes = double_accumulator(task) ? kLanes<double> : kLanes<float>;
  return ceil_div(width, lanes / 2) % 2 != 0;
}

template <class T>
void plan_direct(Task& task) {
  task.row_tiles = ceil_div(task.rows, kDirectRows);
  const Box box = direct_box<T>(task);
  const int64_t samples = direct_samples<T>(task, box);
  task.items = task.problem.groups * ceil_div(task.problem.cols.d[0], samples) *
               DirectBoxes(Parts(task), box).product();
  task.scratch_bytes = DirectSizes<T>(task, box, samples).total();
}

}  // namespace

const Method kDirect{
    "direct",
    covers,
    suits,
    [](Task& task) { plan_for_accumulator(task, []<class T>(Task& t) { plan_direct<T>(t); }); },
    nullptr,
    run_items<DirectRunner>,
    leaves_half_empty,
};

const Method kJoined{
    "joined", covers_joined, suits, kDirect.plan, nullptr, kDirect.run, leaves_half_empty,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
