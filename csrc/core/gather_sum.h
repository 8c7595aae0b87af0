// SPDX-License-Identifier: MIT
// Ordered sums of chosen lines of a matrix. This file is their definition:
//
//   y[s, d] = sum over j = offsets[s] ... offsets[s + 1] - 1 of  x[indices[j], d], or of
//             weights[j] * x[indices[j], d]
//
// term j - offsets[s] of a sum of offsets[s + 1] - offsets[s] terms.
#pragma once

#include <cstdint>

#include "config.h"
#include "element.h"

namespace fpdet::inline FPDET_TARGET {

/// Reads the terms of one output element (reduce.h). Elements: as TermCursor's (contraction.h).
template <class Elements>
class GatherCursor {
 public:
  /// Of column `column` of lines `line` elements apart; term 0 is number `first` of the indices and
  /// of the weights, whose data is null where there are none.
  FPDET_HD GatherCursor(const Elements& x, int64_t column, int64_t line, const int64_t* indices,
                        const Elements& weights, int64_t weight_step, int64_t first)
      : x_(x),
        column_(column),
        line_(line),
        indices_(indices),
        weights_(weights),
        weight_step_(weight_step),
        first_(first) {}

  FPDET_HD void seek(int64_t term) { number_ = first_ + term; }
  FPDET_HD void advance() { ++number_; }
  FPDET_HD double left() const {
    return weights_.data == nullptr ? 1.0 : weights_[number_ * weight_step_];
  }
  FPDET_HD double right() const { return x_[column_ + indices_[number_] * line_]; }

 private:
  Elements x_;
  int64_t column_, line_;
  const int64_t* indices_;
  Elements weights_;
  int64_t weight_step_;
  int64_t first_, number_ = 0;
};

}  // namespace fpdet::inline FPDET_TARGET
