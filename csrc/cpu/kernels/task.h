// SPDX-License-Identifier: MIT
// One fast contraction as the kernels see it, and how it is cut into work items.
//
// Work item of Tiled = (group, block of rows, tile of columns), of Direct = (group, digit 0 of the
// column: sample), of Grouped = one vector of groups. Terms are never cut between items: a tile, a
// chunk or a block is a speed knob and cannot enter a result.
#pragma once

#include <cstdint>

#include "../../core/arith.h"
#include "../../core/contraction.h"
#include "../../core/element.h"
#include "../../core/order.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Requested sizes; 0 lets the plan choose.
struct Tiles {
  int64_t columns = 0;  ///< of one tile (rounded up to panels)
  int64_t terms = 0;    ///< of one chunk
  int64_t rows = 0;     ///< of one block (rounded up to micro-tiles)
};

/// How the kernels go about a contraction.
enum class Method : int {
  Tiled,    ///< packed panels, registers hold rows x columns (micro.h)
  Direct,   ///< one or two rows, few terms (depthwise): operands straight from memory
  Grouped,  ///< many groups of one row and few columns (depthwise grad_weight): lanes are groups
};

struct Task {
  Contraction problem;
  Order order;
  const int64_t* permutation = nullptr;
  Arithmetic arithmetic;
  Scalar scalar = Scalar::Float32;
  const void* left = nullptr;
  const void* right = nullptr;
  const void* bias = nullptr;
  int64_t bias_stride = 1;
  void* out = nullptr;
  void* packed_left = nullptr;
  Tiles tiles;
  int64_t workers = 1;  ///< threads that are probably there

  // Set by plan().
  Method method = Method::Tiled;
  int64_t rows = 0, cols = 0, terms = 0, runs = 0;
  int64_t depth = 1;        ///< partials alive at once, the growing one included
  int64_t chunk = 0;        ///< terms packed at a time
  int64_t row_tiles = 0;    ///< micro-tiles over all rows, sizes differ by at most one
  int64_t block_tiles = 0;  ///< micro-tiles in a block
  int64_t row_blocks = 0;
  int64_t block_rows = 0;   ///< most rows in a block
  int64_t panels = 0;       ///< over all columns
  int64_t tile_panels = 0;  ///< in one column tile
  int64_t col_tiles = 0;
  int64_t items = 0;          ///< groups * row_blocks * col_tiles
  int64_t left_items = 0;     ///< groups * row_tiles
  int64_t left_bytes = 0;     ///< of packed_left: the left operand, once, in the accumulator's type
  int64_t scratch_bytes = 0;  ///< per thread, at most kScratchLimit
};

/// Scratch of one thread: right panels, stack of partials, tables of places.
inline constexpr int64_t kScratchLimit = int64_t{4} << 20;

}  // namespace fpdet::inline FPDET_TARGET::kernels
