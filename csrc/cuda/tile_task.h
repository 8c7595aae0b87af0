// SPDX-License-Identifier: MIT
// Tiled contractions: what a launch is given, and the shapes of tiles.
//
// A block computes tiles of rows x columns, each thread a small rectangle of outputs in registers.
// An item is one tile and one group of consecutive runs of the order's schedule; runs of a group
// are folded by the block, groups by combine.h. Groups of a pairwise order begin at multiples of a
// power of two, so that each is a subtree of the order's tree.
#pragma once

#include "block.h"
// block.h has FPDET_UNROLL_ALL

#include "../calls/contraction.h"
#include "divisor.h"

namespace fpdet::cuda {

/// A tile of (RowsEach * ThreadRows) x (ColsEach * ThreadCols), Terms terms at a time. Levels > 0:
/// a run is one term, and subtrees of 2^Levels = Terms of them are summed in registers.
template <int RowsEach, int ColsEach, int ThreadRows, int ThreadCols, int Terms, int Levels,
          int Resident>
struct TileShape {
  static constexpr int kRowsEach = RowsEach, kColsEach = ColsEach;
  static constexpr int kThreadRows = ThreadRows, kThreadCols = ThreadCols;
  static constexpr int kThreads = ThreadRows * ThreadCols;
  static constexpr int kRows = RowsEach * ThreadRows, kCols = ColsEach * ThreadCols;
  static constexpr int kTerms = Terms, kLevels = Levels, kResident = Resident;
  static_assert(Levels == 0 || Terms == 1 << Levels);
  static_assert(kThreads % kCols == 0 && kThreads % kTerms == 0);
};

/// Large: many outputs. Small: few rows or few tiles. Pairs: runs of one term. float64 takes twice
/// the registers: fewer threads a block, so that none of them has to be kept in memory.
template <class A>
struct TileShapes {
  using Large = TileShape<8, 8, 8, 16, 8, 0, 3>;
  using Small = TileShape<4, 4, 8, 32, 8, 0, 2>;
  using Pairs = TileShape<4, 4, 8, 32, 8, 3, 2>;
};
template <>
struct TileShapes<double> {
  using Large = TileShape<8, 4, 8, 16, 8, 0, 2>;
  using Small = TileShape<4, 4, 8, 16, 8, 0, 3>;
  using Pairs = TileShape<4, 4, 8, 16, 8, 3, 2>;
};

struct TileTask {
  Contraction problem;
  TermRadix row_radix, col_radix, term_radix;
  Order order;
  Rounding rounding;
  bool fused;
  const void* left;
  const void* right;
  const void* bias;
  int64_t bias_stride;
  void* out;
  const int64_t* permutation;
  int64_t rows, cols, terms;            ///< each below 2^31
  Divisor row_tiles, col_tiles, tiles;  ///< tiles: of all groups
  int64_t items;                        ///< below 2^31
  int64_t runs, runs_each;              ///< runs_each: of an item
  bool left_by_terms, right_by_terms;   ///< neighbouring threads read neighbouring terms
  bool first_to_last;                   ///< partials are combined so, not pairwise
  void* stack;                          ///< partials of a block's item, [block][depth][output]
  int depth;
  void*
      partials;  ///< [run group][output]; null: results go to `out`, whose type is the accumulator

  FPDET_HD int64_t outputs() const { return problem.groups * rows * cols; }
};

}  // namespace fpdet::cuda
