// SPDX-License-Identifier: MIT
// The broadcast method's left operand: rows as lanes, panels of up to kRowVectors vectors of them,
// a stretch of terms at a time, packed where the first cache holds it.
#pragma once

#include "broadcast_micro.h"
#include "plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Panel i of `vectors` vectors of rows: full ones of `width` first, then a rest of powers of two.
struct RowPanel {
  int64_t first;  ///< vector
  int vectors;
};
inline RowPanel row_panel(int64_t vectors, int width, int64_t i) {
  const int64_t full = vectors / width;
  if (i < full) return {i * width, width};
  RowPanel panel{full * width, width};
  for (int64_t skip = i - full; skip >= 0; --skip) {
    do {
      panel.vectors /= 2;
    } while ((vectors & panel.vectors) == 0);
    if (skip > 0) panel.first += panel.vectors;
  }
  return panel;
}
inline int64_t row_panels(int64_t vectors, int width) {
  int64_t count = vectors / width;
  for (int64_t rest = vectors % width; rest != 0; rest &= rest - 1) ++count;
  return count;
}

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
  int64_t t = 0;
  constexpr int64_t kAhead = 1024 / static_cast<int64_t>(sizeof(S));
  const auto pack_whole = [&](auto&& read) {
    for (; t + kW <= terms; t += kW) {
      V<T> block[kW];
#pragma GCC unroll 16
      for (int r = 0; r < kW; ++r) {
        const S* p = from + r * row_stride + t * stride;
        block[r] = read(p);
        __builtin_prefetch(p + kAhead, 0, 3);
      }
      transpose<T>(block);
#pragma GCC unroll 16
      for (int i = 0; i < kW; ++i) store<T>(to + (t + i) * pitch, block[i]);
    }
  };
  if (rows == kW && stride == 1) pack_whole([](const S* p) { return gather_all<T>(p, 1); });
  if (rows == kW && stride == 2) pack_whole([](const S* p) { return gather_all<T>(p, 2); });
  for (; t < terms; t += kW) {
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

/// Packs the terms [first, first + count) of a panel: to[term][lane].
template <class T, class S>
class RowPacker {
 public:
  RowPacker(const Contraction& problem, const S* data)
      : data_(data),
        radix_(problem.terms),
        weights_(problem.left.term.offset),
        rows_(problem.rows.product()),
        row_stride_(problem.left.outer.offset.w[0]) {
    // Terms that lie at one stride: a line, or all lines of a sample.
    line_ = radix_.d[3];
    const Weights& w = weights_;
    if (w.w[2] == line_ * w.w[3] && w.w[1] == radix_.d[2] * w.w[2]) {
      line_ *= radix_.d[2] * radix_.d[1];
    }
  }

  void pack(const RowPanel& panel, int64_t first, int64_t count, T* to) const {
    constexpr int kW = kLanes<T>;
    const int64_t pitch = panel.vectors * kW;
    for (int64_t t = 0; t < count;) {
      const int64_t n = at_most(count - t, line_ - (first + t) % line_);
      const S* from = data_ + weights_.dot(radix_.decode(first + t));
      for (int v = 0; v < panel.vectors; ++v) {
        const int64_t row = (panel.first + v) * kW;
        const int rows = static_cast<int>(at_most(rows_ - row, kW));
        pack_rows<T, S>(from + row * row_stride_, row_stride_, rows, weights_.w[3], n,
                        to + t * pitch + v * kW, pitch);
      }
      t += n;
    }
  }

 private:
  const S* data_;
  Digits radix_;
  Weights weights_;
  int64_t rows_, row_stride_, line_;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
