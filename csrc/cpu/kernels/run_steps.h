// SPDX-License-Identifier: MIT
// The runs of an order, cut into steps (step.h) of a bounded number of terms.
#pragma once

#include "plan.h"
#include "step.h"

namespace fpdet::inline FPDET_TARGET::kernels {

class RunSteps {
 public:
  explicit RunSteps(const Schedule& schedule) : schedule_(schedule), runs_(schedule_.runs()) {
    if (runs_ > 0) run_ = schedule_.run(0);
  }

  bool done() const { return j_ >= runs_; }

  /// Writes the steps of the next `limit` terms (fewer at the end) and returns how many steps they
  /// are; piece(first, stride, n) is told the positions of each.
  template <class Piece>
  int64_t next(int64_t limit, Step* steps, Piece&& piece) {
    int64_t count = 0;
    while (limit > 0 && j_ < runs_) {
      const int64_t n = at_most(run_.count - at_, limit);
      piece(run_.first + at_ * run_.stride, run_.stride, n);
      Step& step = steps[count++];
      step.count = static_cast<int32_t>(n);
      step.runs = 1;
      step.level = level_;
      step.begins = at_ == 0;
      step.folds = 0;
      at_ += n;
      limit -= n;
      if (at_ == run_.count) {
        step.folds = schedule_.folds(j_);
        level_ += 1 - step.folds;
        at_ = 0;
        if (++j_ < runs_) run_ = schedule_.run(j_);
      }
    }
    return count;
  }

 private:
  Schedule schedule_;
  int64_t runs_, j_ = 0, at_ = 0;
  int32_t level_ = 0;
  Run run_{0, 1, 0};
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
