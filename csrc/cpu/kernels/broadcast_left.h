// SPDX-License-Identifier: MIT
// The broadcast method's left operand: rows as lanes, packed once a call.
//
//   packed_left[group][panel][term][lane], panels of up to kRowVectors vectors of rows
#pragma once

#include "../../core/environment.h"
#include "broadcast_micro.h"
#include "plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Panel i of `vectors` vectors of rows: full ones first, then a rest of powers of two.
struct RowPanel {
  int64_t first;  ///< vector
  int vectors;
};
inline RowPanel row_panel(int64_t vectors, int64_t i) {
  const int64_t full = vectors / kRowVectors;
  if (i < full) return {i * kRowVectors, kRowVectors};
  RowPanel panel{full * kRowVectors, kRowVectors};
  for (int64_t skip = i - full; skip >= 0; --skip) {
    do {
      panel.vectors /= 2;
    } while ((vectors & panel.vectors) == 0);
    if (skip > 0) panel.first += panel.vectors;
  }
  return panel;
}
inline int64_t row_panels(int64_t vectors) {
  int64_t count = vectors / kRowVectors;
  for (int64_t rest = vectors % kRowVectors; rest != 0; rest &= rest - 1) ++count;
  return count;
}

inline constexpr int64_t kLeftPiece = 2048;  // terms of an item of packing

/// Rows of one vector: from[row * row_stride + t * stride], t < terms, becomes to[t * pitch + row].
template <class T, class S>
void pack_rows(const S* from, int64_t row_stride, int rows, int64_t stride, int64_t terms, T* to,
               int64_t pitch) {
  constexpr int kW = kLanes<T>;
  const uint32_t row_mask = (uint32_t{1} << rows) - 1;
  if (row_stride == 1) {
    for (int64_t t = 0; t < terms; ++t) {
      store<T>(to + t * pitch, gather<T>(from + t * stride, 1, row_mask));
    }
    return;
  }
  for (int64_t t = 0; t < terms; t += kW) {
    const int n = static_cast<int>(at_most(terms - t, kW));
    const uint32_t mask = (uint32_t{1} << n) - 1;
    V<T> block[kW];
    for (int r = 0; r < kW; ++r) {
      block[r] = r < rows ? gather<T>(from + r * row_stride + t * stride, stride, mask) : V<T>{};
    }
    transpose<T>(block);
    for (int i = 0; i < n; ++i) store<T>(to + (t + i) * pitch, block[i]);
  }
}

template <class T, class S>
void pack_broadcast_left(const Task& task, int64_t begin, int64_t end) {
  constexpr int kW = kLanes<T>;
  const Operand& left = task.problem.left;
  const Digits& radix = task.problem.terms;
  const int64_t vectors = ceil_div(task.rows, kW), panels = row_panels(vectors);
  const int64_t pieces = ceil_div(task.terms, kLeftPiece);
  const int64_t row_stride = left.outer.offset.w[0];
  // Terms that lie at one stride: a line, or all lines of a sample.
  int64_t line = radix.d[3];
  const Weights& w = left.term.offset;
  if (w.w[2] == line * w.w[3] && w.w[1] == radix.d[2] * w.w[2]) line *= radix.d[2] * radix.d[1];

  for (int64_t item = begin; item < end; ++item) {
    const int64_t piece = item % pieces;
    const RowPanel panel = row_panel(vectors, item / pieces % panels);
    const int64_t group = item / pieces / panels, pitch = panel.vectors * kW;
    const S* data =
        static_cast<const S*>(task.left) + group * left.group_offset + left.origin.offset;
    T* to = static_cast<T*>(task.packed_left) + (group * vectors + panel.first) * kW * task.terms;
    const int64_t last = at_most((piece + 1) * kLeftPiece, task.terms);
    for (int64_t t = piece * kLeftPiece; t < last;) {
      const int64_t n = at_most(last - t, line - t % line);
      const S* from = data + w.dot(radix.decode(t));
      for (int v = 0; v < panel.vectors; ++v) {
        const int64_t row = (panel.first + v) * kW;
        const int rows = static_cast<int>(at_most(task.rows - row, kW));
        pack_rows<T, S>(from + row * row_stride, row_stride, rows, w.w[3], n,
                        to + t * pitch + v * kW, pitch);
      }
      t += n;
    }
  }
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
