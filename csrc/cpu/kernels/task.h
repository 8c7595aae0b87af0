// SPDX-License-Identifier: MIT
// One fast contraction as the kernels see it, and how it is cut into work items.
//
// What a work item is, the method says (method.h). Terms are never cut between items: a tile, a
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
  int64_t columns = 0;      ///< of one tile (rounded up to panels)
  int64_t terms = 0;        ///< of one chunk
  int64_t rows = 0;         ///< of one block (rounded up to micro-tiles)
  const char* method = "";  ///< its name, "" lets the shape choose
};

struct Task {
  Contraction problem;
  const Contraction* parts = nullptr;  ///< of one pass, the problem first; null if it is alone
  int64_t part_count = 1;
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
  int64_t workers = 1;             ///< threads that are probably there
  uint64_t seed = 0, counter = 0;  ///< of the stream, for orders that draw per output
  uint32_t pass = 0;
  int64_t batch_offset = 0;
  int64_t* stage_counts = nullptr;  ///< of order exact: kExactStages of them, shared by threads

  // Set by plan().
  const void* method = nullptr;  ///< a Method (method.h) of the instruction set in use
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
  Digits box;                 ///< columns of one column tile, digit by digit
  int64_t items = 0;          ///< pieces of the work, in any sequence, on any thread
  int64_t left_items = 0;     ///< pieces of the packing that comes first
  int64_t left_bytes = 0;     ///< of packed_left: the left operand, once, in the accumulator's type
  int64_t scratch_bytes = 0;  ///< per thread, at most kScratchLimit
};

/// Scratch of one thread: right panels, stack of partials, tables of places.
inline constexpr int64_t kScratchLimit = int64_t{4} << 20;

}  // namespace fpdet::inline FPDET_TARGET::kernels
