// SPDX-License-Identifier: MIT
// Packs a left operand whose rows lie at one distance: rows as lanes, a stretch of terms at a time.
#pragma once

#include "plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

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
  constexpr int64_t kAhead = 1024 / static_cast<int64_t>(sizeof(S));  // elements
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

/// Whether rows lie at one distance, and none of their elements outside.
inline bool has_plain_rows(const Contraction& c) {
  bool plain = c.rows.d[1] * c.rows.d[2] * c.rows.d[3] == 1;
  for (int i = 0; i < kAxes; ++i) plain = plain && c.left.term.step[i] == 0;
  return plain;
}

/// Packs the terms [first, first + count) of some vectors of rows, from number `vector` on:
/// to[term][lane].
template <class T, class S>
class RowPacker {
 public:
  /// `data`: the group's, at row 0 and term 0; has_plain_rows(problem).
  RowPacker(const Contraction& problem, const S* data)
      : data_(data),
        radix_(problem.terms),
        weights_(problem.left.term.offset),
        rows_(problem.rows.product()),
        row_stride_(problem.left.outer.offset.w[0]) {
    line_ = radix_.d[3];
    for (int i = 2; i >= 0; --i) {
      if (radix_.d[i] != 1 && weights_.w[i] != line_ * weights_.w[3]) break;
      line_ *= radix_.d[i];
    }
  }

  /// Terms that lie at one stride.
  int64_t line() const { return line_; }

  void pack(int64_t vector, int vectors, int64_t first, int64_t count, T* to) const {
    constexpr int kW = kLanes<T>;
    const int64_t pitch = vectors * kW;
    for (int64_t t = 0; t < count;) {
      const int64_t n = at_most(count - t, line_ - (first + t) % line_);
      const S* from = data_ + weights_.dot(radix_.decode(first + t));
      for (int v = 0; v < vectors; ++v) {
        const int64_t row = (vector + v) * kW;
        const int rows = static_cast<int>(at_least(at_most(rows_ - row, kW), 0));
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
