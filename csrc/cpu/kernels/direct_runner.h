// SPDX-License-Identifier: MIT
// Work items of the direct method (direct.h): rows of outputs along the last axis.
#pragma once

#include "chunks.h"
#include "direct.h"
#include "output.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class T>
struct DirectSizes {
  int64_t terms, steps, lanes, inside, offsets;

  explicit DirectSizes(const Task& task) {
    const int64_t vectors = ceil_div(task.problem.cols.d[3], kLanes<T>);
    terms = aligned(task.terms * PlaceList::kBytesPerEntry);
    steps = aligned(task.terms * static_cast<int64_t>(sizeof(Step)));
    lanes = aligned(task.terms * vectors * static_cast<int64_t>(sizeof(uint16_t)));
    inside = aligned(task.terms * static_cast<int64_t>(sizeof(uint16_t)));
    offsets = aligned(kLanes<T> * static_cast<int64_t>(sizeof(int64_t)));
  }
  int64_t total() const { return terms + steps + lanes + inside + offsets; }
};

template <class T, class S>
class DirectRunner {
 public:
  DirectRunner(const Task& task, void* scratch) : task_(task) {
    const DirectSizes<T> sizes(task);
    Carver carver(scratch);
    terms_.place(carver.take(sizes.terms), task.terms);
    steps_ = carver.take<Step>(sizes.steps);
    lanes_ = carver.take<uint16_t>(sizes.lanes);
    inside_ = carver.take<uint16_t>(sizes.inside);
    offsets_ = carver.take<int64_t>(sizes.offsets);

    const Operand& operand = task.problem.right;
    UnsafeAxes all(operand, task.problem.cols, task.problem.terms);
    for (bool& axis : all.axis) axis = true;
    PlaceWriter writer(operand.term, Place{}, task.problem.terms, all, terms_);
    step_count_ = Chunks(task).next(writer, steps_);
    make_lanes();
    for (int l = 0; l < kLanes<T>; ++l) offsets_[l] = l * task.problem.out.col.w[3];
  }

  void run(int64_t item) {
    const Digits& cols = task_.problem.cols;
    const int64_t group = item / cols.d[0];
    Digits c{{item % cols.d[0], 0, 0, 0}};
    for (c.d[1] = 0; c.d[1] < cols.d[1]; ++c.d[1]) {
      for (c.d[2] = 0; c.d[2] < cols.d[2]; ++c.d[2]) {
        c.d[3] = 0;
        line(group, c);
      }
    }
  }

 private:
  int64_t vectors() const { return ceil_div(task_.problem.cols.d[3], kLanes<T>); }

  void make_lanes() {
    const Operand& operand = task_.problem.right;
    for (int64_t v = 0; v < vectors(); ++v) {
      for (int64_t t = 0; t < task_.terms; ++t) {
        uint32_t mask = 0;
        for (int l = 0; l < kLanes<T>; ++l) {
          const int64_t col = v * kLanes<T> + l;
          const int64_t x =
              operand.origin.x[2] + operand.outer.step[2] * col + terms_.entry[t].x[2];
          const bool in = col < task_.problem.cols.d[3] && x >= 0 && x < operand.extent[2];
          mask |= static_cast<uint32_t>(in) << l;
        }
        lanes_[v * task_.terms + t] = static_cast<uint16_t>(mask);
      }
    }
  }

  /// The outputs along the last axis that begin at column c.
  void line(int64_t group, const Digits& c) {
    const Operand& operand = task_.problem.right;
    const Place at = operand.origin + operand.outer.place(c);
    for (int64_t t = 0; t < task_.terms; ++t) {
      const Entry& e = terms_.entry[t];
      const bool in = at.x[0] + e.x[0] >= 0 && at.x[0] + e.x[0] < operand.extent[0] &&
                      at.x[1] + e.x[1] >= 0 && at.x[1] + e.x[1] < operand.extent[1];
      inside_[t] = in ? uint16_t{0xffff} : uint16_t{0};
    }
    const Output& out = task_.problem.out;
    DirectSum<T, S> a;
    a.terms = terms_.entry;
    a.steps = steps_;
    a.step_count = step_count_;
    a.rows = task_.rows;
    a.stride = operand.outer.offset.w[3];
    a.inside = inside_;
    const S* data = static_cast<const S*>(task_.right) + group * operand.group_offset;
    for (int64_t row = 0; row < task_.rows; ++row) {
      const int64_t number = group * task_.rows + row;
      a.left = static_cast<const T*>(task_.packed_left) + group * task_.rows * task_.terms + row;
      S* to = static_cast<S*>(task_.out) + out.offset(group, task_.problem.rows.decode(row), c);
      for (int64_t v = 0; v < vectors(); ++v) {
        const int64_t first = v * kLanes<T>;
        a.base = data + (at.offset + first * a.stride);
        a.lanes = lanes_ + v * task_.terms;
        V<T> sum = task_.arithmetic.fused ? direct_sum<T, S, true>(a) : direct_sum<T, S, false>(a);
        if (task_.bias != nullptr) {
          const S b = static_cast<const S*>(task_.bias)[number * task_.bias_stride];
          sum = add<T>(sum, broadcast<T>(to_accumulator<T>(b)));
        }
        const int n = static_cast<int>(at_most(task_.problem.cols.d[3] - first, kLanes<T>));
        if constexpr (__is_same(T, S)) {
          if (out.col.w[3] == 1) {
            store_first<T>(to + first, sum, n);
            continue;
          }
        }
        T lanes[kLanes<T>];
        store<T>(lanes, sum);
        convert<T, S>(task_, lanes, n, to + first * out.col.w[3], offsets_);
      }
    }
  }

  const Task& task_;
  PlaceList terms_;
  Step* steps_;
  uint16_t* lanes_;
  uint16_t* inside_;
  int64_t* offsets_;
  int64_t step_count_ = 0;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
