// SPDX-License-Identifier: MIT
// A product of matrices as a contraction (contraction.h). This file is its definition:
//
//   y[i, m, n] = sum over k of a[i, m, k] * b[i, k, n]
//
// Lines m are its columns, each a sample of its own, and the columns n its rows, for which there is
// one bias each: a convolution of pixels m with weights n, whose kernels it shares.
#pragma once

#include "contraction.h"

namespace fpdet::inline FPDET_TARGET {

struct MatmulShape {
  int64_t batches = 1, lines = 1, columns = 1, terms = 0;  ///< i, m, n, k
};

/// Strides in elements, of the result that is contiguous too.
struct MatmulStrides {
  int64_t batch = 0, line = 0, column = 0;
};

inline Contraction matmul_contraction(const MatmulShape& s, const MatmulStrides& a,
                                      const MatmulStrides& b) {
  constexpr int kLast = kDigits - 1;
  Contraction c;
  c.groups = s.batches;
  c.rows.d[0] = s.columns;
  c.cols.d[kLast] = s.lines;
  c.terms.d[0] = s.terms;
  c.right_first = true;

  c.left.group_offset = b.batch;
  c.left.outer.offset.w[0] = b.column;
  c.left.term.offset.w[0] = b.line;

  c.right.group_offset = a.batch;
  c.right.outer.offset.w[kLast] = a.line;
  c.right.outer.step[kLast - 1] = 1;
  c.right.extent[kLast - 1] = s.lines;
  c.right.term.offset.w[0] = a.column;

  c.out.group_offset = s.lines * s.columns;
  c.out.row.w[0] = 1;
  c.out.col.w[kLast] = s.columns;
  c.out.element_row.w[0] = 1;
  c.out.sample_col.w[kLast] = 1;
  c.out.sample_group = s.lines;
  c.out.groups_per_sample = 1;
  return c;
}

}  // namespace fpdet::inline FPDET_TARGET
