// SPDX-License-Identifier: MIT
// Tiles, panels and memory of the tiled and the folded method (tiled_runner.h).
#pragma once

#include "left.h"
#include "micro.h"
#include "pack.h"
#include "plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int64_t kStackBytes = int64_t{1} << 19;  // wanted size of the stack of partials
inline constexpr int64_t kRightBytes = int64_t{1} << 18;  // wanted size of the packed right operand
inline constexpr int64_t kItemsPerWorker = 6;             // so that uneven threads even out
inline constexpr int64_t kFewPanels = 4;                  // of an item, where others have work
inline constexpr int64_t kMaxTileColumns = 4096;

// Bytes of one thread's scratch, part by part, as the runner takes it.
template <class T>
struct ScratchSizes {
  int64_t right, stack, columns, terms, steps, work, offsets;

  explicit ScratchSizes(const Task& task) {
    const int64_t cols = task.tile_panels * kPanel<T>;
    right = aligned(cols * task.chunk * static_cast<int64_t>(sizeof(T)));
    stack = aligned(cols * task.block_rows * task.depth * static_cast<int64_t>(sizeof(T)));
    columns = aligned(cols * PlaceList::kBytesPerEntry);
    terms = aligned(task.chunk * PlaceList::kBytesPerEntry);
    steps = aligned(task.chunk * static_cast<int64_t>(sizeof(Step)));
    work = aligned(Packer<T, T>::work_bytes(task.chunk));
    offsets = aligned(cols * static_cast<int64_t>(sizeof(int64_t)));
  }
  int64_t total() const { return right + stack + columns + terms + steps + work + offsets; }
};

/// `tile_limit`: most rows of a micro-tile, at most kMostTileRows.
template <class T>
void plan_tiled(Task& task, int64_t tile_limit = kMaxRows) {
  constexpr int64_t kSize = sizeof(T);
  task.chunk = at_most(task.tiles.terms > 0 ? at_most(task.tiles.terms, 4096) : kChunk,
                       at_least(task.terms, 1));
  task.row_tiles = ceil_div(task.rows, tile_limit);
  const int64_t tile_rows = ceil_div(task.rows, task.row_tiles);
  task.panels = ceil_div(task.cols, kPanel<T>);

  // Rows of a block: all of them where their partials of one panel fit.
  const int64_t tile_stack = tile_rows * task.depth * kPanel<T> * kSize;
  task.block_tiles = at_most(task.row_tiles, at_least(kStackBytes / tile_stack, 1));
  if (task.tiles.rows > 0) {
    task.block_tiles = at_most(task.block_tiles, ceil_div(task.tiles.rows, tile_rows));
  }
  // Columns of a tile: what fits, less where workers would stay idle.
  const int64_t panel_stack = task.block_tiles * tile_stack;
  const int64_t panel_right = task.chunk * kPanel<T> * kSize;
  int64_t fit = at_least(at_most(kStackBytes / panel_stack, kRightBytes / panel_right), 1);
  fit = at_most(fit, kMaxTileColumns / kPanel<T>);
  const int64_t blocks = ceil_div(task.row_tiles, task.block_tiles);
  const int64_t work = task.panels * task.problem.groups * blocks;
  // Each item walks all terms: it should be worth the walk.
  const int64_t items = at_most(work / (task.workers * kFewPanels), kItemsPerWorker);
  fit = at_most(fit, at_least(ceil_div(work, at_least(items, 1) * task.workers), 1));
  if (task.tiles.columns > 0) {
    fit = at_most(ceil_div(task.tiles.columns, kPanel<T>), kMaxTileColumns / kPanel<T>);
    fit = at_most(fit, at_least(2 * kStackBytes / panel_stack, 1));
    fit = at_most(fit, at_least(2 * kRightBytes / panel_right, 1));
  }
  task.col_tiles = ceil_div(task.panels, fit);
  task.tile_panels = ceil_div(task.panels, task.col_tiles);
  // Rows again, where columns alone do not occupy the workers.
  const int64_t column_items = task.col_tiles * task.problem.groups;
  if (column_items * ceil_div(task.row_tiles, task.block_tiles) < task.workers) {
    const int64_t wanted = ceil_div(task.workers, column_items);
    task.block_tiles = at_most(task.block_tiles, at_least(ceil_div(task.row_tiles, wanted), 1));
  }
  task.row_blocks = ceil_div(task.row_tiles, task.block_tiles);
  task.block_tiles = ceil_div(task.row_tiles, task.row_blocks);
  task.row_blocks = ceil_div(task.row_tiles, task.block_tiles);
  task.block_rows = task.block_tiles * tile_rows;

  task.items = task.problem.groups * task.row_blocks * task.col_tiles;
  task.left_items = task.terms > 0 ? task.problem.groups * task.row_tiles : 0;
  task.left_bytes = task.problem.groups * task.rows * task.terms * kSize;
  task.scratch_bytes = ScratchSizes<T>(task).total();
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
