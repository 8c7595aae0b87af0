// SPDX-License-Identifier: MIT
// How one contraction is cut into work items, and how much memory it takes: tiles, panels, the
// choice of method. Sizes chosen here are speed knobs: none of them enters a result.
#pragma once

#include "direct.h"
#include "grouped.h"
#include "micro.h"
#include "pack.h"
#include "task.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int64_t kChunk = 256;                    // terms packed at a time
inline constexpr int64_t kStackBytes = int64_t{1} << 19;  // wanted size of the stack of partials
inline constexpr int64_t kRightBytes = int64_t{1} << 18;  // wanted size of the packed right operand
inline constexpr int64_t kItemsPerWorker = 6;             // so that uneven threads even out
inline constexpr int64_t kMaxTileColumns = 4096;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t at_least(int64_t a, int64_t low) { return a < low ? low : a; }
constexpr int64_t at_most(int64_t a, int64_t high) { return a > high ? high : a; }
constexpr int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// Rows of micro-tile i: sizes differ by at most one.
struct RowTile {
  int64_t first;
  int rows;
};
inline RowTile row_tile(const Task& task, int64_t i) {
  const int64_t base = task.rows / task.row_tiles, extra = task.rows % task.row_tiles;
  return {i * base + at_most(i, extra), static_cast<int>(base + (i < extra ? 1 : 0))};
}

inline Schedule schedule_of(const Task& task) {
  return Schedule(task.order, task.terms, task.permutation);
}

inline bool double_accumulator(const Task& task) { return task.arithmetic.format == kFloat64; }

/// Calls f(accumulator value, element value).
template <class F>
void with_types(const Task& task, F&& f) {
  with_scalar(task.scalar, [&]<class S>(S element) {
    if (double_accumulator(task)) {
      f(double{}, element);
    } else if constexpr (!__is_same(S, double)) {
      f(float{}, element);
    }
  });
}

// Bytes of one thread's scratch, part by part; the same order in carve() below.
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

template <class T>
struct DirectSizes {
  int64_t terms, steps, lanes, inside, offsets;

  explicit DirectSizes(const Task& task) {
    const int64_t vectors = ceil_div(task.problem.cols.d[3], kLanes<T>);
    terms = aligned(task.terms * PlaceList::kBytesPerEntry);
    steps = aligned(task.terms * static_cast<int64_t>(sizeof(Step)));
    lanes = aligned(task.terms * vectors * static_cast<int64_t>(sizeof(uint16_t)));
    inside = aligned(task.terms * static_cast<int64_t>(sizeof(uint16_t)));
    offsets = aligned(kLanes<T> * static_cast<int64_t>(sizeof(int64_t)));
  }
  int64_t total() const { return terms + steps + lanes + inside + offsets; }
};

template <class T>
struct GroupedSizes {
  int64_t left, right, stack, lanes, terms, steps, work;

  explicit GroupedSizes(const Task& task) {
    left = aligned(task.chunk * kVectorBytes);
    right = kGroupedColumns * left;
    stack = task.depth * kGroupedColumns * kVectorBytes;
    lanes = aligned(kLanes<T> * PlaceList::kBytesPerEntry);
    terms = aligned(task.chunk * PlaceList::kBytesPerEntry);
    steps = aligned(task.chunk * static_cast<int64_t>(sizeof(Step)));
    work = aligned(Packer<T, T>::work_bytes(task.chunk));
  }
  int64_t total() const { return left + right + stack + lanes + 2 * terms + steps + work; }
};

inline bool suits_grouped(const Task& task) {
  return task.problem.product && task.rows == 1 && task.terms > 0 && task.problem.groups > 2 &&
         task.cols <= kGroupedMostColumns;
}

inline bool suits_direct(const Task& task) {
  const int64_t last = task.problem.cols.d[3];
  return task.problem.product && task.rows <= kDirectRows && task.terms > 0 &&
         task.terms <= kDirectTerms && last >= 4 && last <= kDirectColumns;
}

template <class T>
void plan_tiles(Task& task) {
  constexpr int64_t kSize = sizeof(T);
  task.chunk = at_most(task.tiles.terms > 0 ? at_most(task.tiles.terms, 4096) : kChunk,
                       at_least(task.terms, 1));
  if (suits_direct(task)) {
    task.method = Method::Direct;
    task.row_tiles = 1;
    task.chunk = task.terms;
    task.items = task.problem.groups * task.problem.cols.d[0];
    task.left_items = task.problem.groups;
    task.left_bytes = task.problem.groups * task.rows * task.terms * kSize;
    task.scratch_bytes = DirectSizes<T>(task).total();
    return;
  }
  if (suits_grouped(task)) {
    task.method = Method::Grouped;
    task.chunk = at_most(task.chunk, kChunk);
    task.col_tiles = ceil_div(task.cols, kGroupedColumns);
    task.items = ceil_div(task.problem.groups, kLanes<T>) * task.col_tiles;
    task.scratch_bytes = GroupedSizes<T>(task).total();
    return;
  }
  task.row_tiles = ceil_div(task.rows, kMaxRows);
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
  const int64_t items = kItemsPerWorker * task.workers;
  const int64_t blocks = ceil_div(task.row_tiles, task.block_tiles);
  fit = at_most(fit, at_least(ceil_div(task.panels * task.problem.groups * blocks, items), 1));
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

inline void plan(void* opaque) {
  Task& task = *static_cast<Task*>(opaque);
  task.rows = task.problem.rows.product();
  task.cols = task.problem.cols.product();
  task.terms = task.problem.terms.product();
  task.runs = schedule_of(task).runs();
  task.items = task.left_items = 0;
  if (task.problem.groups == 0 || task.rows == 0 || task.cols == 0) return;
  task.depth = 1;
  if (task.runs > 1) {
    const bool first_to_last =
        task.order.kind == OrderKind::Split || task.order.kind == OrderKind::SplitShuffled;
    task.depth = 2;
    for (int64_t rest = (task.runs - 1) >> 1; rest != 0 && !first_to_last; rest >>= 1) ++task.depth;
  }
  if (double_accumulator(task)) {
    plan_tiles<double>(task);
  } else {
    plan_tiles<float>(task);
  }
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
