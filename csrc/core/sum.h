// SPDX-License-Identifier: MIT
// Sums over some dimensions of a tensor, or of the products of two, as contractions
// (contraction.h). This file is their definition:
//
//   y[o] = sum over t of x[o, t],  y[o] = sum over t of a[o, t] * b[o, t]
//
// o and t numbered row-major. The first dimension of the result counts samples, if it is kept.
#pragma once

#include "contraction.h"

namespace fpdet::inline FPDET_TARGET {

/// Dimensions of up to kDigits digits, the last one fastest, and an operand's strides along them.
struct SumOperand {
  Weights kept, reduced;
};

struct SumShape {
  Digits kept, reduced;             ///< kept.d[0] is the sample's number, 1 where there is none
  SumOperand x;                     ///< what varies with o
  const Weights* factor = nullptr;  ///< strides along t of a factor that does not vary with o
  bool factor_is_first = true;
};

namespace detail {

inline void number_outputs(const Digits& kept, Weights& weights) {
  int64_t weight = 1;
  for (int i = kDigits - 1; i >= 0; --i) {
    weights.w[i] = weight;
    weight *= kept.d[i];
  }
}

}  // namespace detail

/// Outputs are columns; the left operand is the factor, or a single 1.
inline Contraction sum_contraction(const SumShape& s) {
  Contraction c;
  c.product = s.factor != nullptr;
  c.right_first = c.product && !s.factor_is_first;
  c.cols = s.kept;
  c.terms = s.reduced;
  c.right.outer.offset = s.x.kept;
  c.right.term.offset = s.x.reduced;
  if (c.product) c.left.term.offset = *s.factor;
  detail::number_outputs(s.kept, c.out.col);
  detail::number_outputs(s.kept, c.out.element_col);
  c.out.element_col.w[0] = 0;
  c.out.sample_col.w[0] = 1;
  return c;
}

/// Of products whose factors both vary with the output: outputs are groups, `samples` times as many
/// as there are in a sample.
struct ProductSumShape {
  int64_t outputs = 1, samples = 1;
  int64_t a_step = 0, b_step = 0;  ///< elements from one output to the next
  Digits reduced;
  Weights a, b;  ///< strides along t
};

inline Contraction product_sum_contraction(const ProductSumShape& s) {
  Contraction c;
  c.groups = s.outputs;
  c.terms = s.reduced;
  c.left.group_offset = s.a_step;
  c.left.term.offset = s.a;
  c.right.group_offset = s.b_step;
  c.right.term.offset = s.b;
  c.out.group_offset = 1;
  c.out.element_group = 1;
  c.out.sample_group = 1;
  c.out.groups_per_sample = s.samples > 0 && s.outputs > 0 ? s.outputs / s.samples : 1;
  return c;
}

}  // namespace fpdet::inline FPDET_TARGET
