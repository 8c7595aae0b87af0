// SPDX-License-Identifier: MIT
// Contractions of many groups with few outputs each, visited in ascending order of the terms
// (depthwise and narrow grouped grad_weight): a vector holds the same output of neighbouring
// groups. A slab is a range of terms, whole lines of one sample. Both operands' part of it is
// copied to scratch once, [position][lane], with the zeros around the right one; there, every
// column is a fixed distance from the term's position.
#pragma once

#include "grouped.h"
#include "planes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int64_t kGroupSlabBytes = int64_t{192} << 10;  // wanted: stays in the second cache
inline constexpr int64_t kGroupSlabOutputs = 2400;              // most outputs of a group

/// One axis of the right operand: terms and columns both walk it.
struct GroupSlabAxis {
  int64_t step;    ///< coordinates from term to term
  int64_t tap;     ///< coordinates from column to column
  int64_t low;     ///< coordinate of term 0 and column 0
  int64_t memory;  ///< elements from coordinate to coordinate
  int64_t reach;   ///< coordinates of the farthest column

  GroupSlabAxis(const Contraction& c, int axis)
      : step(c.right.term.step[axis]),
        tap(c.right.outer.step[axis]),
        low(c.right.origin.x[axis]),
        memory(step > 0 ? c.right.term.offset.w[axis + 1] / step : 0),
        reach(tap * (c.cols.d[axis + 1] - 1)) {}

  /// Coordinates that so many terms need.
  int64_t length(int64_t terms) const { return (terms - 1) * step + reach + 1; }
};

/// Whether the right operand's terms and columns walk the same grid, upwards.
inline bool has_group_slabs(const Contraction& c) {
  for (int i = 0; i < kAxes; ++i) {
    const GroupSlabAxis axis(c, i);
    if (axis.step < 1 || axis.tap < 0) return false;
    if (c.right.term.offset.w[i + 1] != axis.step * axis.memory) return false;
    if (c.right.outer.offset.w[i + 1] != axis.tap * axis.memory) return false;
  }
  return true;
}

/// Lines (terms' digit 2) of a slab, and the sizes that follow from them.
template <class T>
struct GroupSlabLayout {
  GroupSlabAxis axis[kAxes];
  int64_t lines;
  int64_t line, layer, channel, right_size;  ///< elements of the right operand's part
  int64_t left_row, left_size;               ///< elements of the left operand's part

  explicit GroupSlabLayout(const Task& task)
      : axis{{task.problem, 0}, {task.problem, 1}, {task.problem, 2}} {
    const Digits& terms = task.problem.terms;
    int64_t parts = 1;
    do {
      lines = ceil_div(terms.d[2], parts++);
      if (task.tiles.terms > 0) lines = at_most(lines, task.tiles.terms);
      line = axis[2].length(terms.d[3]) * kLanes<T>;
      layer = axis[1].length(lines) * line;
      channel = axis[0].length(1) * layer;
      right_size = task.problem.cols.d[0] * channel;
      left_row = lines * terms.d[3] * kLanes<T>;
      left_size = task.rows * left_row;
    } while (lines > 1 &&
             (right_size + left_size) * static_cast<int64_t>(sizeof(T)) > kGroupSlabBytes);
  }

  /// Distance of a column from a term's position.
  int64_t column(const Digits& col) const {
    return col.d[0] * channel + col.d[1] * axis[0].tap * layer + col.d[2] * axis[1].tap * line +
           col.d[3] * axis[2].tap * kLanes<T>;
  }
};

/// to[i][lane] = from[lane * lane_stride + i * stride], i < n; lanes from `lanes` on become +0.
template <class T, class S>
__attribute__((noinline)) void interleave(const S* from, int64_t lane_stride, int lanes,
                                          int64_t stride, int64_t n, T* to) {
  constexpr int kW = kLanes<T>;
  if (lane_stride == 1) {
    for (int64_t i = 0; i < n; ++i) {
      store<T>(to + i * kW, some_elements<T, S>(from + i * stride, 1, lanes));
    }
    return;
  }
  for (int64_t i = 0; i < n; i += kW) {
    // The last block lies back over its neighbour where there is one.
    const int64_t at = at_least(at_most(i, n - kW), 0), count = at_most(n - at, kW);
    const S* p = from + at * stride;
    V<T> rows[kW];
    if (count == kW && lanes == kW && stride == 1) {
#pragma GCC unroll 16
      for (int l = 0; l < kW; ++l) rows[l] = some_elements<T, S>(p + l * lane_stride, 1, kW);
      transpose<T>(rows);
#pragma GCC unroll 16
      for (int k = 0; k < kW; ++k) store<T>(to + (at + k) * kW, rows[k]);
    } else {
      for (int l = 0; l < kW; ++l) {
        rows[l] = l < lanes ? some_elements<T, S>(p + l * lane_stride, stride, count) : V<T>{};
      }
      transpose<T>(rows);
      for (int64_t k = 0; k < count; ++k) store<T>(to + (at + k) * kW, rows[k]);
    }
  }
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
