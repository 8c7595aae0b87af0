// SPDX-License-Identifier: MIT
// The schedule of an order, cut into chunks of terms that are packed and summed together.
#pragma once

#include "pack.h"
#include "plan.h"
#include "step.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Walks the schedule chunk by chunk: the terms of a chunk and the steps that sum them.
class Chunks {
 public:
  explicit Chunks(const Task& task)
      : task_(task), schedule_(schedule_of(task)), runs_(schedule_.runs()) {
    if (runs_ > 0) run_ = schedule_.run(0);
  }

  bool done() const { return j_ >= runs_; }

  int64_t next(PlaceWriter& writer, Step* steps) {
    int64_t left = task_.chunk, count = 0;
    while (left > 0 && j_ < runs_) {
      const int64_t n = at_most(run_.count - at_, left);
      append(writer, n);
      Step& step = steps[count++];
      step.count = static_cast<int32_t>(n);
      step.level = level_;
      step.begins = at_ == 0;
      step.folds = 0;
      at_ += n;
      left -= n;
      if (at_ == run_.count) {
        step.folds = schedule_.folds(j_);
        level_ += 1 - step.folds;
        at_ = 0;
        if (++j_ < runs_) run_ = schedule_.run(j_);
      }
    }
    writer.finish();
    return count;
  }

 private:
  void append(PlaceWriter& writer, int64_t n) const {
    const int64_t first = run_.first + at_ * run_.stride;
    if (run_.stride == 1 && task_.order.kind != OrderKind::Shuffled) {
      writer.append_range(first, n);
      return;
    }
    for (int64_t i = 0; i < n; ++i) writer.append(schedule_.term(first + i * run_.stride));
  }

  const Task& task_;
  Schedule schedule_;
  int64_t runs_, j_ = 0, at_ = 0;
  int32_t level_ = 0;
  Run run_{0, 1, 0};
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
