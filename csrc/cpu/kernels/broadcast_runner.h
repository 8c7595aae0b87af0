// SPDX-License-Identifier: MIT
// Work items of the broadcast method: slab by slab and chunk by chunk, every panel of rows against
// every tile of columns.
#pragma once

#include "broadcast_plan.h"
#include "output.h"
#include "row_packer.h"
#include "run_steps.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class T, class S>
class BroadcastRunner {
 public:
  BroadcastRunner(const Task& task, void* scratch)
      : task_(task), plan_(task), fused_(task.arithmetic.fused) {
    Carver carver(scratch);
    columns_at_ = slab_ = carver.take<T>(plan_.slab_bytes);
    left_ = carver.take<T>(plan_.left_bytes);
    partials_ = carver.take<T>(plan_.partial_bytes);
    columns_ = carver.take<int32_t>(plan_.table_bytes);
    terms_ = columns_ + plan_.part_cols;
    steps_ = carver.take<Step>(plan_.step_bytes);
  }

  void run(int64_t item) {
    const int64_t col_part = item % plan_.col_parts;
    const int64_t row_part = item / plan_.col_parts % plan_.row_parts;
    group_ = item / plan_.col_parts / plan_.row_parts;
    first_col_ = col_part * plan_.part_cols;
    cols_ = at_most(plan_.part_cols, plan_.cols - first_col_);
    first_panel_ = row_part * plan_.part_panels;
    last_panel_ = at_most(first_panel_ + plan_.part_panels, plan_.panels);
    const int64_t first_channel = list_columns();

    const Contraction& problem = plan_.problem;
    const S* left = static_cast<const S*>(plan_.is_turned ? task_.right : task_.left) +
                    group_ * problem.left.group_offset + problem.left.origin.offset;
    const S* right = static_cast<const S*>(plan_.is_turned ? task_.left : task_.right) +
                     group_ * problem.right.group_offset;
    const RowPacker<T, S> packer(problem, left);
    SlabFiller<T, S> filler(problem, plan_.slab, slab_, terms_);
    RunSteps runs(schedule_of(task_));
    for (int64_t done = 0; done < task_.terms;) {
      const int64_t n = plan_.in_place ? point_at(right, done, first_channel)
                                       : filler.fill(right, done, first_channel, channels_);
      const int64_t chunks = ceil_div(n, plan_.chunk);
      for (int64_t i = 0; i < chunks; ++i) {
        const int64_t from = i * n / chunks, to = (i + 1) * n / chunks;
        const int64_t steps = runs.next(to - from, steps_, [](int64_t, int64_t, int64_t) {});
        for (int64_t p = first_panel_; p < last_panel_; ++p) {
          const RowPanel panel = plan_.panel(p);
          packer.pack(panel.first, panel.vectors, done + from, to - from, left_);
          const bool last = done + to == task_.terms;
          if (fused_) {
            multiply<true>(panel, terms_ + from, steps, last);
          } else {
            multiply<false>(panel, terms_ + from, steps, last);
          }
        }
      }
      done += n;
    }
  }

 private:
  static constexpr int kW = kLanes<T>;

  /// Offsets of the item's columns in a slab; returns the first channel.
  int64_t list_columns() {
    const Digits& radix = plan_.problem.cols;
    const int64_t first = radix.decode(first_col_).d[0];
    channels_ = cols_;
    for (int64_t c = 0; c < cols_; ++c) {
      if (plan_.in_place) {
        columns_[c] = static_cast<int32_t>(c * plan_.problem.right.outer.offset.w[0]);
        continue;
      }
      const Digits column = radix.decode(first_col_ + c);
      columns_[c] = static_cast<int32_t>((column.d[0] - first) * plan_.slab.channel_pitch +
                                         plan_.slab.tap_offset(column));
      channels_ = column.d[0] - first + 1;
    }
    return first;
  }

  /// Where the terms from `first` on lie in the operand itself; returns how many they are.
  int64_t point_at(const S* right, int64_t first, int64_t first_channel) {
    const Digits& radix = plan_.problem.terms;
    const Operand& operand = plan_.problem.right;
    const int64_t n = at_most(plan_.slab_terms, task_.terms - first);
    const int64_t origin = operand.term.offset.dot(radix.decode(first));
    for (int64_t i = 0; i < n;) {
      const Digits at = radix.decode(first + i);
      const int64_t place = operand.term.offset.dot(at) - origin;
      const int64_t end = at_most(n, i + radix.d[3] - at.d[3]);
      for (int64_t j = i; j < end; ++j) terms_[j] = static_cast<int32_t>(place + j - i);
      i = end;
    }
    if constexpr (__is_same(T, S)) {
      columns_at_ =
          right + operand.origin.offset + origin + first_channel * operand.outer.offset.w[0];
    }
    return n;
  }

  /// Tile i of a panel's columns: sizes differ by at most one.
  struct Tile {
    int64_t first;
    int columns;
  };
  Tile tile(int64_t i, int64_t tiles) const {
    const int64_t first = i * cols_ / tiles;
    return {first, static_cast<int>((i + 1) * cols_ / tiles - first)};
  }
  int64_t tiles_of(const RowPanel& panel) const {
    return ceil_div(cols_, most_columns(panel.vectors));
  }
  /// Partials of a panel's columns from `column` on.
  T* partials_of(const RowPanel& panel, int64_t column) const {
    const int64_t before = panel.first - plan_.panel(first_panel_).first;
    return partials_ + (before * cols_ + column * panel.vectors) * kW * plan_.depth;
  }

  /// A packed panel against all columns; with `last`, to the outputs. Those lie far apart: they are
  /// asked for while their sums grow, few at a time, as they may share a set of the caches.
  template <bool Fused>
  void multiply(const RowPanel& panel, const int32_t* terms, int64_t steps, bool last) {
    BroadcastArguments<T> a;
    a.left = left_;
    a.slab = columns_at_;
    a.terms = terms;
    a.steps = steps_;
    a.step_count = steps;
    const int64_t tiles = tiles_of(panel);
    for (int64_t i = 0; i < tiles; ++i) {
      const Tile t = tile(i, tiles);
      if (last) ask_for_outputs(panel, t);
      a.columns = columns_ + t.first;
      a.stack = partials_of(panel, t.first);
      find_broadcast<T, Fused>(t.columns, panel.vectors)(a);
      if (last) finish(panel, t);
    }
  }

  void finish(const RowPanel& panel, const Tile& t) const {
    if (plan_.problem.out.row.w[0] == 1) {
      finish_columns(panel, t);
    } else {
      finish_rows(panel, t);
    }
  }

  void ask_for_outputs(const RowPanel& panel, const Tile& t) const {
    const int64_t row = panel.first * kW, step = plan_.problem.out.row.w[0];
    if (step == 1) {
      for (int c = 0; c < t.columns; ++c) __builtin_prefetch(output_of(t.first + c) + row, 1, 2);
    } else {
      const int64_t end = at_most(row + panel.vectors * kW, plan_.rows);
      for (int64_t r = row; r < end; ++r) __builtin_prefetch(output_of(t.first) + r * step, 1, 2);
    }
  }

  S* output_of(int64_t column) const {
    const Digits& radix = plan_.problem.cols;
    const int64_t number = first_col_ + column;
    const Digits digits =
        plan_.cols == radix.d[0] ? Digits{{number, 0, 0, 0}} : radix.decode(number);
    return static_cast<S*>(task_.out) +
           plan_.problem.out.offset(group_, Digits{{0, 0, 0, 0}}, digits);
  }

  /// Outputs of a column lie side by side, as the lanes do.
  void finish_columns(const RowPanel& panel, const Tile& t) const {
    const int64_t first = panel.first * kW;
    const int64_t rows = at_most(panel.vectors * kW, plan_.rows - first);
    int64_t offsets[kRowVectors * kW];
    for (int64_t r = 0; r < rows; ++r) offsets[r] = r;
    for (int c = 0; c < t.columns; ++c) {
      const T* from = partials_of(panel, t.first) + c * panel.vectors * kW;
      S* to = output_of(t.first + c) + first;
      if constexpr (__is_same(T, S)) {
        if (rows == panel.vectors * kW) {
          for (int v = 0; v < panel.vectors; ++v) store<T>(to + v * kW, load<T>(from + v * kW));
          continue;
        }
      }
      convert<T, S>(task_, from, rows, to, offsets);
    }
  }

  /// Turns vectors of rows into rows of columns.
  void finish_rows(const RowPanel& panel, const Tile& t) const {
    S* data = output_of(t.first);
    int64_t offsets[kMostColumns];
    bool neighbours = t.columns < kW;
    for (int c = 0; c < t.columns; ++c) {
      offsets[c] = output_of(t.first + c) - data;
      neighbours = neighbours && offsets[c] == c;
    }
    const T* from = partials_of(panel, t.first);
    for (int v = 0; v < panel.vectors; ++v, from += kW) {
      const int64_t row = (panel.first + v) * kW;
      const int64_t rows = at_most(plan_.rows - row, kW), step = plan_.problem.out.row.w[0];
      const int64_t pitch = panel.vectors * kW;
      if constexpr (__is_same(T, S)) {
        if (neighbours) {
          finish_block(from, pitch, t.columns, data + row * step, step, rows);
          continue;
        }
      }
      for (int64_t r = 0; r < rows; ++r) {
        T line[kMostColumns];
        for (int c = 0; c < t.columns; ++c) line[c] = from[c * pitch + r];
        convert<T, S>(task_, line, t.columns, data + (row + r) * step, offsets);
      }
    }
  }

  /// A vector of each column becomes rows of neighbours.
  static void finish_block(const T* from, int64_t pitch, int columns, T* to, int64_t step,
                           int64_t rows) {
    V<T> block[kW];
    for (int c = 0; c < kW; ++c) block[c] = c < columns ? load<T>(from + c * pitch) : V<T>{};
    transpose<T>(block);
    for (int64_t r = 0; r < rows; ++r) store_first<T>(to + r * step, block[r], columns);
  }

  static constexpr int kMostColumns = 10;

  const Task& task_;
  const BroadcastPlan<T> plan_;
  const bool fused_;
  T* slab_;
  const T* columns_at_;  ///< the slab, or the operand
  T* left_;              ///< [term][lane] of a panel
  T* partials_;
  int32_t* columns_;
  int32_t* terms_;
  Step* steps_;
  int64_t group_ = 0, first_col_ = 0, cols_ = 0, channels_ = 0, first_panel_ = 0, last_panel_ = 0;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
