// SPDX-License-Identifier: MIT
// Work items of the group_slabs method (group_slabs.h): vectors of neighbouring groups.
#pragma once

#include "group_slabs.h"
#include "output.h"
#include "run_steps.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class T>
struct GroupSlabSizes {
  int64_t right, left, stack, offsets, columns, steps;

  GroupSlabSizes(const Task& task, const GroupSlabLayout<T>& layout) {
    constexpr int64_t kSize = sizeof(T);
    const int64_t terms = layout.lines * task.problem.terms.d[3];
    right = aligned(layout.right_size * kSize);
    left = aligned(layout.left_size * kSize);
    stack = aligned(stack_depth(task) * task.rows * task.cols * kVectorBytes);
    offsets = aligned(terms * static_cast<int64_t>(sizeof(int32_t)));
    columns = aligned(task.cols * static_cast<int64_t>(sizeof(int32_t)));
    steps = aligned(terms * static_cast<int64_t>(sizeof(Step)));
  }
  int64_t total() const { return right + left + stack + offsets + columns + steps; }
};

/// Rows times tiles of columns: pieces that share the slabs.
inline int64_t group_slab_jobs(const Task& task) { return task.rows * task.col_tiles; }

/// Items that share the work on one vector of groups, each with slabs of its own.
template <class T>
int64_t group_slab_parts(const Task& task) {
  const int64_t vectors = ceil_div(task.problem.groups, kLanes<T>);
  return at_most(ceil_div(task.workers, vectors), group_slab_jobs(task));
}

template <class T>
void plan_group_slabs(Task& task) {
  task.col_tiles = ceil_div(task.cols, kGroupedColumns);
  task.items = ceil_div(task.problem.groups, kLanes<T>) * group_slab_parts<T>(task);
  task.scratch_bytes = GroupSlabSizes<T>(task, GroupSlabLayout<T>(task)).total();
}

/// Whether slabs hold the operands of a task whose terms come in ascending order.
template <class T>
bool holds_in_group_slabs(const Task& task) {
  const bool ascending = task.order.kind == OrderKind::Sequential ||
                         task.order.kind == OrderKind::Blocked ||
                         task.order.kind == OrderKind::Split;
  return ascending && task.problem.product && left_is_whole(task.problem.left) &&
         has_group_slabs(task.problem) && task.rows == task.problem.rows.d[0] &&
         task.rows * task.cols <= kGroupSlabOutputs && task.terms != 0 && task.cols != 0 &&
         GroupSlabSizes<T>(task, GroupSlabLayout<T>(task)).total() <= kScratchLimit;
}

inline constexpr int64_t kFewOutputs = 256;

/// Groups enough to fill the lanes, or outputs too few for any other method.
inline bool suits_group_slabs(const Task& task) {
  return task.problem.groups >= 8 ||
         (task.problem.groups > 2 && task.rows * task.cols <= kFewOutputs);
}

template <class T, class S>
class GroupSlabRunner {
 public:
  GroupSlabRunner(const Task& task, void* scratch)
      : task_(task), layout_(task), depth_(stack_depth(task)) {
    const GroupSlabSizes<T> sizes(task, layout_);
    Carver carver(scratch);
    right_ = carver.take<T>(sizes.right);
    left_ = carver.take<T>(sizes.left);
    stack_ = carver.take<T>(sizes.stack);
    offsets_ = carver.take<int32_t>(sizes.offsets);
    columns_ = carver.take<int32_t>(sizes.columns);
    steps_ = carver.take<Step>(sizes.steps);

    const GroupSlabAxis &a1 = layout_.axis[1], &a2 = layout_.axis[2];
    int64_t t = 0;
    for (int64_t i = 0; i < layout_.lines; ++i) {
      for (int64_t q = 0; q < task.problem.terms.d[3]; ++q) {
        offsets_[t++] = static_cast<int32_t>(i * a1.step * layout_.line + q * a2.step * kLanes<T>);
      }
    }
    for (int64_t c = 0; c < task.cols; ++c) {
      columns_[c] = static_cast<int32_t>(layout_.column(task.problem.cols.decode(c)));
    }
    // Zeros left and right of the lines stay; copies lie between them.
    for (int64_t i = 0; i < layout_.right_size; ++i) right_[i] = T{0};
  }

  void run(int64_t item) {
    sum(item, [](int64_t) {});
    for_jobs(item, [&](int64_t j) { finish(j); });
  }

 protected:
  /// Calls f(job) for an item's.
  template <class F>
  void for_jobs(int64_t item, F&& f) const {
    const int64_t parts = group_slab_parts<T>(task_);
    for (int64_t j = item % parts; j < group_slab_jobs(task_); j += parts) f(j);
  }

  /// The sums of an item; seen(lines) is called for each slab.
  template <class Seen>
  void sum(int64_t item, Seen&& seen) {
    const int64_t parts = group_slab_parts<T>(task_);
    first_group_ = item / parts * kLanes<T>;
    lanes_ = static_cast<int>(at_most(task_.problem.groups - first_group_, kLanes<T>));
    const Digits& terms = task_.problem.terms;
    RunSteps steps(schedule_of(task_));
    for (int64_t n = 0; n < terms.d[0]; ++n) {
      for (int64_t layer = 0; layer < terms.d[1]; ++layer) {
        for (int64_t line = 0; line < terms.d[2]; line += layout_.lines) {
          const int64_t lines = at_most(layout_.lines, terms.d[2] - line);
          copy_right(n, layer, line, lines);
          copy_left(n, layer, line, lines);
          const int64_t step_count =
              steps.next(lines * terms.d[3], steps_, [](int64_t, int64_t, int64_t) {});
          seen(lines);
          for_jobs(item, [&](int64_t j) {
            if (task_.arithmetic.fused) {
              multiply<true>(j, step_count);
            } else {
              multiply<false>(j, step_count);
            }
          });
        }
      }
    }
  }

  /// A row and some of its columns.
  struct Job {
    int64_t row, first;
    int columns;
    T* stack;
  };
  Job job(int64_t j) const {
    const int64_t row = j % task_.rows, tile = j / task_.rows;  // a tile's columns stay near
    const int64_t first = tile * task_.cols / task_.col_tiles;
    const int64_t end = (tile + 1) * task_.cols / task_.col_tiles;
    T* stack = stack_ + depth_ * (row * task_.cols + first) * kLanes<T>;
    return {row, first, static_cast<int>(end - first), stack};
  }

  void copy_right(int64_t n, int64_t layer, int64_t first_line, int64_t lines) {
    const Operand& operand = task_.problem.right;
    const GroupSlabAxis &a0 = layout_.axis[0], &a1 = layout_.axis[1], &a2 = layout_.axis[2];
    const int64_t low0 = a0.low + layer * a0.step, low1 = a1.low + first_line * a1.step;
    const int64_t length = layout_.line / kLanes<T>;
    const int64_t begin = at_most(at_least(-a2.low, 0), length);
    const int64_t end = at_least(at_most(operand.extent[2] - a2.low, length), begin);
    int64_t zero = operand.origin.offset;  // of coordinates 0
    for (int i = 0; i < kAxes; ++i) zero -= operand.origin.x[i] * layout_.axis[i].memory;
    for (int64_t c = 0; c < task_.problem.cols.d[0]; ++c) {
      const S* from = static_cast<const S*>(task_.right) +
                      (zero + first_group_ * operand.group_offset + n * operand.term.offset.w[0] +
                       c * operand.outer.offset.w[0]);
      for (int64_t i0 = 0; i0 < a0.length(1); ++i0) {
        T* to = right_ + c * layout_.channel + i0 * layout_.layer;
        for (int64_t i1 = 0; i1 < a1.length(lines); ++i1, to += layout_.line) {
          const int64_t x0 = low0 + i0, x1 = low1 + i1;
          if (x0 >= 0 && x0 < operand.extent[0] && x1 >= 0 && x1 < operand.extent[1]) {
            interleave<T, S>(
                from + (x0 * a0.memory + x1 * a1.memory + (a2.low + begin) * a2.memory),
                operand.group_offset, lanes_, a2.memory, end - begin, to + begin * kLanes<T>);
          } else {
            for (int64_t i = begin; i < end; ++i) store<T>(to + i * kLanes<T>, V<T>{});
          }
        }
      }
    }
  }

  void copy_left(int64_t n, int64_t layer, int64_t first_line, int64_t lines) {
    const Operand& operand = task_.problem.left;
    const Weights& w = operand.term.offset;
    const int64_t length = task_.problem.terms.d[3];
    const bool one_line = w.w[2] == length * w.w[3];
    for (int64_t row = 0; row < task_.rows; ++row) {
      const S* from = static_cast<const S*>(task_.left) +
                      (operand.origin.offset + first_group_ * operand.group_offset +
                       row * operand.outer.offset.w[0] + w.dot(Digits{{n, layer, first_line, 0}}));
      T* to = left_ + row * layout_.left_row;
      const int64_t count = one_line ? 1 : lines, each = one_line ? lines * length : length;
      for (int64_t i = 0; i < count; ++i) {
        interleave<T, S>(from + i * w.w[2], operand.group_offset, lanes_, w.w[3], each,
                         to + i * each * kLanes<T>);
      }
    }
  }

  template <bool Fused>
  void multiply(int64_t j, int64_t step_count) {
    const Job job = this->job(j);
    GroupedArguments<T> a;
    a.left = left_ + job.row * layout_.left_row;
    a.right = right_;
    a.columns = columns_ + job.first;
    a.offsets = offsets_;
    a.stack = job.stack;
    a.steps = steps_;
    a.step_count = step_count;
    find_grouped<T, Fused>(job.columns)(a);
  }

  void finish(int64_t j) {
    const Job job = this->job(j);
    const Output& out = task_.problem.out;
    int64_t offsets[kLanes<T>] = {};
    for (int c = 0; c < job.columns; ++c) {
      const Digits col = task_.problem.cols.decode(job.first + c);
      const Digits row{{job.row, 0, 0, 0}};
      T bias[kLanes<T>] = {};
      for (int l = 0; l < lanes_; ++l) {
        offsets[l] = out.offset(first_group_ + l, row, col);
        if (task_.bias != nullptr) {
          const int64_t number = (first_group_ + l) * task_.rows + job.row;
          bias[l] =
              to_accumulator<T>(static_cast<const S*>(task_.bias)[number * task_.bias_stride]);
        }
      }
      T* sum = job.stack + c * kLanes<T>;
      if (task_.bias != nullptr) store<T>(sum, add<T>(load<T>(sum), load<T>(bias)));
      convert<T, S>(task_, sum, lanes_, static_cast<S*>(task_.out), offsets);
    }
  }

  const Task& task_;
  GroupSlabLayout<T> layout_;
  T* right_;
  T* left_;
  T* stack_;
  int32_t* offsets_;
  int32_t* columns_;
  Step* steps_;
  int64_t depth_;
  int64_t first_group_ = 0;
  int lanes_ = 0;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
