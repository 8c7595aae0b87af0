// SPDX-License-Identifier: MIT
// Packing of the left operand, once a call: every column tile reads it.
#pragma once

#include "plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int kMostTileRows = 64;  // of any method that packs its left operand here

/// Rows of micro-tile i: sizes differ by at most one.
struct RowTile {
  int64_t first;
  int rows;
};
inline RowTile row_tile(const Task& task, int64_t i) {
  const int64_t base = task.rows / task.row_tiles, extra = task.rows % task.row_tiles;
  return {i * base + at_most(i, extra), static_cast<int>(base + (i < extra ? 1 : 0))};
}

/// Pieces [begin, end) of packed_left: for each group and micro-tile [term in visiting order][row
/// of the tile], of numbers of the accumulator's type.
void pack_left(const Task& task, int64_t begin, int64_t end);

/// The same, of numbers of type T. Defined in left.cpp for the types that are used.
template <class T, class S>
void pack_left_typed(const Task& task, int64_t begin, int64_t end);

}  // namespace fpdet::inline FPDET_TARGET::kernels
