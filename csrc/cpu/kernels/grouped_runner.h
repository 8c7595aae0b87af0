// SPDX-License-Identifier: MIT
// Work items of the grouped method (grouped.h): vectors of neighbouring groups.
#pragma once

#include "chunks.h"
#include "grouped.h"
#include "output.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class T>
struct GroupedSizes {
  int64_t left, right, stack, lanes, terms, steps, work, offsets, columns;

  explicit GroupedSizes(const Task& task) {
    left = aligned(task.chunk * kVectorBytes);
    right = kGroupedColumns * left;
    stack = aligned(task.depth * kGroupedColumns * kVectorBytes);
    lanes = aligned(kLanes<T> * PlaceList::kBytesPerEntry);
    terms = aligned(task.chunk * PlaceList::kBytesPerEntry);
    steps = aligned(task.chunk * static_cast<int64_t>(sizeof(Step)));
    work = aligned(Packer<T, T>::work_bytes(task.chunk));
    offsets = aligned(task.chunk * static_cast<int64_t>(sizeof(int32_t)));
    columns = aligned(kGroupedColumns * static_cast<int64_t>(sizeof(int32_t)));
  }
  int64_t total() const {
    return left + right + stack + lanes + 2 * terms + steps + work + offsets + columns;
  }
};

template <class T, class S>
class GroupedRunner {
 public:
  GroupedRunner(const Task& task, void* scratch)
      : task_(task),
        unsafe_left_(task.problem.left, task.problem.rows, task.problem.terms),
        unsafe_right_(task.problem.right, task.problem.cols, task.problem.terms) {
    const GroupedSizes<T> sizes(task);
    Carver carver(scratch);
    left_ = carver.take<T>(sizes.left);
    right_ = carver.take<T>(sizes.right);
    stack_ = carver.take<T>(sizes.stack);
    lanes_.place(carver.take(sizes.lanes), kLanes<T>);
    left_terms_.place(carver.take(sizes.terms), task.chunk);
    right_terms_.place(carver.take(sizes.terms), task.chunk);
    steps_ = carver.take<Step>(sizes.steps);
    work_ = carver.take(sizes.work);
    offsets_ = carver.take<int32_t>(sizes.offsets);
    columns_ = carver.take<int32_t>(sizes.columns);
    const auto column = static_cast<int32_t>(task.chunk * kLanes<T>);
    for (int32_t t = 0; t < task.chunk; ++t) offsets_[t] = t * kLanes<T>;
    for (int32_t c = 0; c < kGroupedColumns; ++c) columns_[c] = c * column;
  }

  void run(int64_t item) {
    const int64_t first_group = item / task_.col_tiles * kLanes<T>;
    const int n = static_cast<int>(at_most(task_.problem.groups - first_group, kLanes<T>));
    const int64_t tile = item % task_.col_tiles;
    const int64_t first_col = tile * task_.cols / task_.col_tiles;
    const int columns = static_cast<int>((tile + 1) * task_.cols / task_.col_tiles - first_col);

    const Operand& left = task_.problem.left;
    const Operand& right = task_.problem.right;
    Packer<T, S> left_packer(static_cast<const S*>(task_.left) + first_group * left.group_offset,
                             left, unsafe_left_, work_, task_.chunk);
    Packer<T, S> right_packer(static_cast<const S*>(task_.right) + first_group * right.group_offset,
                              right, unsafe_right_, work_, task_.chunk);
    GroupedArguments<T> a{left_, right_, offsets_, columns_, stack_, steps_, 0};
    for (Chunks chunks(task_), twin(task_); !chunks.done();) {
      PlaceWriter left_writer(left.term, Place{}, task_.problem.terms, unsafe_left_, left_terms_);
      PlaceWriter right_writer(right.term, Place{}, task_.problem.terms, unsafe_right_,
                               right_terms_);
      a.step_count = chunks.next(left_writer, steps_);
      twin.next(right_writer, steps_);
      list_groups(left, unsafe_left_, Place{}, n);
      left_packer.lists_changed();
      left_packer.pack(lanes_, 0, n, kLanes<T>, left_terms_, left_, kLanes<T>);
      for (int c = 0; c < columns; ++c) {
        const Digits col = task_.problem.cols.decode(first_col + c);
        list_groups(right, unsafe_right_, right.outer.place(col), n);
        right_packer.lists_changed();
        right_packer.pack(lanes_, 0, n, kLanes<T>, right_terms_, right_ + columns_[c], kLanes<T>);
      }
      (task_.arithmetic.fused ? find_grouped<T, true>(columns)
                              : find_grouped<T, false>(columns))(a);
    }
    finish(first_group, n, first_col, columns);
  }

 private:
  /// Lane l is group l from the packer's data.
  void list_groups(const Operand& operand, const UnsafeAxes& unsafe, const Place& outer, int n) {
    const Place at = operand.origin + outer;
    lanes_.count = n;
    lanes_.kinds = 1;
    lanes_.representative[0] = 0;
    for (int l = 0; l < n; ++l) {
      Entry& e = lanes_.entry[l];
      e.offset = at.offset + l * operand.group_offset;
      lanes_.kind[l] = 0;
      for (int i = 0; i < kAxes; ++i) e.x[i] = unsafe.axis[i] ? at.x[i] : 0;
    }
  }

  void finish(int64_t first_group, int n, int64_t first_col, int columns) {
    const Output& out = task_.problem.out;
    T bias[kLanes<T>] = {};
    int64_t offsets[kLanes<T>] = {};
    if (task_.bias != nullptr) {
      for (int l = 0; l < n; ++l) {
        bias[l] = to_accumulator<T>(
            static_cast<const S*>(task_.bias)[(first_group + l) * task_.bias_stride]);
      }
    }
    for (int c = 0; c < columns; ++c) {
      const Digits col = task_.problem.cols.decode(first_col + c);
      for (int l = 0; l < n; ++l) {
        offsets[l] = out.offset(first_group + l, Digits{{0, 0, 0, 0}}, col);
      }
      T* sum = stack_ + c * kLanes<T>;
      if (task_.bias != nullptr) store<T>(sum, add<T>(load<T>(sum), load<T>(bias)));
      convert<T, S>(task_, sum, n, static_cast<S*>(task_.out), offsets);
    }
  }

  const Task& task_;
  UnsafeAxes unsafe_left_, unsafe_right_;
  T* left_;
  T* right_;
  T* stack_;
  PlaceList lanes_, left_terms_, right_terms_;
  Step* steps_;
  char* work_;
  int32_t* offsets_;
  int32_t* columns_;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
