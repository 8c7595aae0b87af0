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

/// Reads the terms of one output element (reduce.h).
template <class T>
class GatherCursor {
 public:
  /// x of the column, indices and weights (null where there are none) of the sum's first term.
  FPDET_HD GatherCursor(const T* x, int64_t line, const int64_t* indices, const T* weights,
                        int64_t weight_step)
      : x_(x), line_(line), indices_(indices), weights_(weights), weight_step_(weight_step) {}

  FPDET_HD void seek(int64_t term) { term_ = term; }
  FPDET_HD void advance() { ++term_; }
  FPDET_HD double left() const {
    return weights_ == nullptr ? 1.0 : widen(weights_[term_ * weight_step_]);
  }
  FPDET_HD double right() const { return widen(x_[indices_[term_] * line_]); }

 private:
  const T* x_;
  int64_t line_;
  const int64_t* indices_;
  const T* weights_;
  int64_t weight_step_;
  int64_t term_ = 0;
};

}  // namespace fpdet::inline FPDET_TARGET
