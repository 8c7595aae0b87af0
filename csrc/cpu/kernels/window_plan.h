// SPDX-License-Identifier: MIT
// Items and memory of the window method (window_runner.h).
#pragma once

#include "micro.h"
#include "pack.h"
#include "plan.h"
#include "step.h"
#include "window_classes.h"
#include "window_micro.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int64_t kWindowBytes = 256 << 10;       // wanted size of the window of a chunk
inline constexpr int64_t kWindowLeftBytes = 1 << 20;     // packed left operands kept between items
inline constexpr int64_t kWindowStackBytes = 512 << 10;  // wanted size of the stack of partials
inline constexpr int64_t kWindowCache = 384 << 10;       // what a second-level cache holds of these
inline constexpr int64_t kWindowColumns = 1024;          // wanted columns of an item, at most
inline constexpr int64_t kWindowFewColumns = 64;         // and at least
inline constexpr int64_t kWindowTries = 4;               // numbers of row blocks per box

/// Channels (units of the term's first digit) that a chunk can meet.
inline int64_t window_channels(const Task& task, int64_t taps) {
  return at_most((task.chunk + taps - 2) / taps + 1, task.problem.terms.d[0]);
}

/// The packed left operands of a block of so many tiles stay for the next box of columns.
template <class T>
bool window_keeps_left(const Task& task, int64_t block_tiles, int64_t col_tiles) {
  const int64_t bytes = block_tiles * task.terms * kPanel<T> * static_cast<int64_t>(sizeof(T));
  return col_tiles > 1 && bytes <= kWindowLeftBytes;
}
template <class T>
bool window_keeps_left(const Task& task) {
  return window_keeps_left<T>(task, task.block_tiles, task.col_tiles);
}

/// Panels whose partials are kept at once.
inline int64_t window_stacks(const Task& task) {
  return task.terms <= task.chunk ? 1 : task.block_tiles;
}

// Bytes of one thread's scratch, part by part, as the runner takes it.
template <class T>
struct WindowSizes {
  int64_t window, left, stack, columns, slots, sources, outputs, terms, rows, row_terms, steps,
      class_steps, work;

  explicit WindowSizes(const Task& task) {
    constexpr int64_t kSize = sizeof(T);
    const WindowGeometry geometry(task.problem);
    const int64_t channels = window_channels(task, geometry.taps);
    const int64_t cols = task.box.product();
    // The last row's last vector may be written beyond the end.
    window =
        aligned((WindowLayout(geometry, task.box, channels, kSize).elements + kLanes<T>)*kSize);
    left = aligned((window_keeps_left<T>(task) ? task.block_tiles * task.terms : task.chunk) *
                   kPanel<T> * kSize);
    stack = aligned(window_stacks(task) * task.depth * cols * kPanel<T> * kSize);
    columns = aligned(cols * static_cast<int64_t>(sizeof(int32_t)));
    slots = columns;
    sources = geometry.strips ? aligned(cols * static_cast<int64_t>(sizeof(int64_t))) : 0;
    outputs = aligned(cols * static_cast<int64_t>(sizeof(int64_t)));
    const int64_t classes = window_classes(task.problem);
    terms = aligned(classes * task.chunk * static_cast<int64_t>(sizeof(WindowTerm)));
    rows = aligned(kPanel<T> * PlaceList::kBytesPerEntry);
    row_terms = aligned(task.chunk * PlaceList::kBytesPerEntry);
    steps = aligned(task.chunk * static_cast<int64_t>(sizeof(Step)));
    class_steps = aligned(classes * task.chunk * static_cast<int64_t>(sizeof(Step)));
    work = aligned(Packer<T, T>::work_bytes(task.chunk));
  }
  int64_t total() const {
    return window + left + stack + columns + slots + sources + outputs + terms + rows + row_terms +
           steps + class_steps + work;
  }
};

/// Cuts `columns` into boxes of at most `wanted` columns, of nearly equal sizes, whole in the last
/// digits.
inline Digits window_box(const Digits& columns, int64_t wanted) {
  Digits box;
  for (int i = kDigits - 1; i >= 0; --i) {
    const int64_t most = at_least(at_most(columns.d[i], wanted), 1);
    box.d[i] = ceil_div(columns.d[i], ceil_div(columns.d[i], most));
    wanted = box.d[i] == columns.d[i] ? wanted / box.d[i] : 1;
  }
  return box;
}

inline int64_t window_boxes(const Digits& columns, const Digits& box) {
  int64_t count = 1;
  for (int i = 0; i < kDigits; ++i) count *= ceil_div(columns.d[i], box.d[i]);
  return count;
}

/// What an item costs, roughly, in cycles: multiply-adds, and the copies that they need.
template <class T>
struct WindowCost {
  static constexpr double kPack = 2.0, kCopy = 0.75;  // an element of the left, the right operand
  static constexpr double kFar = 1.2;  // of multiply-adds whose partials come from far away

  const Task& task;
  const WindowGeometry& geometry;

  /// Of the busiest thread: a contiguous part of the items, which go through the columns of a
  /// block of rows before they come to the next.
  double of(int64_t block_tiles, const Digits& box) const {
    const int64_t col_tiles = window_boxes(task.problem.cols, box);
    const int64_t blocks = task.problem.groups * ceil_div(task.row_tiles, block_tiles);
    const int64_t items = ceil_div(blocks * col_tiles, task.workers);
    const auto rows = static_cast<double>(block_tiles * kPanel<T>);
    const auto terms = static_cast<double>(task.terms), cols = static_cast<double>(box.product());
    const WindowLayout window(geometry, box, 1, sizeof(T));
    const double copied = static_cast<double>(window.elements * task.problem.terms.d[0]);
    constexpr auto kSize = static_cast<int64_t>(sizeof(T));
    const int64_t bytes = (window.elements * window_channels(task, geometry.taps) +
                           block_tiles * kPanel<T> * box.product()) *
                          kSize;
    const double far = bytes > kWindowCache ? kFar : 1.0;
    const bool kept = window_keeps_left<T>(task, block_tiles, col_tiles);
    const auto packed = static_cast<double>(kept ? ceil_div(items, col_tiles) : items);
    return static_cast<double>(items) *
               (far * rows * cols * terms / (2 * kLanes<T>)+kCopy * copied) +
           packed * kPack * rows * terms;
  }
};

template <class T>
void plan_window(Task& task) {
  constexpr int64_t kSize = sizeof(T);
  const WindowGeometry geometry(task.problem);
  if (task.tiles.terms == 0) {
    // A term without taps has cache lines of its own in the window: they stay in the first cache.
    if (geometry.taps == 1 && !geometry.strips) task.chunk = at_most(task.chunk, kChunk / 2);
    if (geometry.taps < task.chunk) task.chunk -= task.chunk % geometry.taps;
  }
  const int64_t channels = window_channels(task, geometry.taps);
  const Digits& columns = task.problem.cols;
  task.row_tiles = ceil_div(task.rows, kPanel<T>);
  task.block_tiles = task.row_tiles;
  if (task.tiles.rows > 0) {
    task.block_tiles = at_most(task.row_tiles, ceil_div(task.tiles.rows, kPanel<T>));
  }

  // Columns of an item: what the caches take. Rows: what the stack takes.
  int64_t wanted = task.tiles.columns > 0 ? task.tiles.columns : kWindowColumns;
  const int64_t column_stack = task.depth * kPanel<T> * kSize;
  const auto fits = [&](const Digits& box) {
    return WindowLayout(geometry, box, channels, kSize).elements * kSize <= kWindowBytes &&
           box.product() * column_stack <= kWindowStackBytes;
  };
  while (wanted > 8 && !fits(window_box(columns, wanted))) wanted -= at_least(wanted / 8, 1);
  const auto most_tiles = [&](const Digits& box) {
    if (window_stacks(task) == 1) return task.row_tiles;
    return at_least(kWindowStackBytes / (box.product() * column_stack), 1);
  };
  task.box = window_box(columns, wanted);
  task.block_tiles = at_most(task.block_tiles, most_tiles(task.box));

  // Fewer of both, where the workers then share the work better.
  if (task.tiles.columns == 0 && task.tiles.rows == 0) {
    const WindowCost<T> cost{task, geometry};
    double least = cost.of(task.block_tiles, task.box);
    Digits before{{0, 0, 0, 0}};
    for (int64_t w = wanted; w >= at_most(wanted, kWindowFewColumns); w -= at_least(w / 8, 1)) {
      const Digits box = window_box(columns, w);
      if (box.product() == before.product()) continue;
      before = box;
      const int64_t most = at_most(task.row_tiles, most_tiles(box));
      for (int64_t blocks = ceil_div(task.row_tiles, most), i = 0; i < kWindowTries;
           ++i, ++blocks) {
        const int64_t tiles = ceil_div(task.row_tiles, at_most(blocks, task.row_tiles));
        const double c = cost.of(tiles, box);
        if (c >= least) continue;
        least = c;
        task.block_tiles = tiles;
        task.box = box;
      }
    }
  }
  task.row_blocks = ceil_div(task.row_tiles, task.block_tiles);
  task.block_tiles = ceil_div(task.row_tiles, task.row_blocks);
  task.row_blocks = ceil_div(task.row_tiles, task.block_tiles);
  task.col_tiles = window_boxes(columns, task.box);
  task.items = task.problem.groups * task.row_blocks * task.col_tiles;
  task.left_items = 0;
  task.left_bytes = 0;
  task.scratch_bytes = WindowSizes<T>(task).total();
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
