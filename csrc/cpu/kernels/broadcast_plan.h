// SPDX-License-Identifier: MIT
// Items, tiles and memory of the broadcast method (broadcast_runner.h).
#pragma once

#include "broadcast_left.h"
#include "pack.h"
#include "slab.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int64_t kSlabBytes = int64_t{3} << 16;     // wanted: half of a second-level cache
inline constexpr int64_t kPartialBytes = int64_t{3} << 19;  // most bytes of partials
inline constexpr int64_t kSlabTerms = 2048;                 // most terms of a slab
inline constexpr int64_t kFewTerms = 128;                   // least terms of columns read in place
inline constexpr int64_t kBroadcastColumns = 8192;          // most columns of an item
inline constexpr int64_t kShortLine = 4;                    // least terms of a line read in place
inline constexpr int64_t kBadPitch = 1024;                  // bytes: lines of columns share sets

/// Rows as columns and columns as rows: a product's factors have no sequence. For columns without
/// taps, none of whose elements lies outside.
inline Contraction turned(const Contraction& c) {
  Contraction t = c;
  t.rows = c.cols;
  t.cols = c.rows;
  t.left = c.right;
  t.right = c.left;
  t.out.row = c.out.col;
  t.out.col = c.out.row;
  for (int i = 0; i < kAxes; ++i) {
    // What stands for coordinates in an operand that has none.
    t.right.term.step[i] = t.right.outer.step[i] = 1;
    t.right.outer.offset.w[i + 1] = t.right.term.offset.w[i + 1];
    t.right.origin.x[i] = 0;
    t.right.extent[i] = c.terms.d[i + 1];
  }
  return t;
}

/// Whether columns have no taps, and no element of theirs lies outside.
inline bool has_bare_columns(const Contraction& c) {
  const UnsafeAxes unsafe(c.right, c.cols, c.terms);
  return c.cols.product() == c.cols.d[0] && !unsafe.axis[0] && !unsafe.axis[1] && !unsafe.axis[2];
}

/// Rows are packed, columns are not: they should be the more. And outputs that lie as the lanes do
/// are written as they are.
template <class T>
bool turns(const Contraction& c) {
  if (!has_bare_columns(c) || c.out.row.w[0] == 1) return false;
  const int64_t rows = c.rows.d[0], cols = c.cols.d[0], terms = c.terms.product();
  const auto filled = [](int64_t n) { return ceil_div(n, 2 * kLanes<T>) * 2 * kLanes<T>; };
  const auto cost = [&](int64_t lanes, int64_t write) {
    return 3 * filled(lanes) * terms + 2 * write * rows * cols +
           filled(lanes) * (rows * cols / lanes) * terms / kLanes<T>;
  };
  return cost(cols, c.out.col.w[0] == 1 ? 1 : 4) < cost(rows, 4);
}

/// Whether columns are read where they lie: in lines, whose distance spreads over a cache's sets.
template <class T>
bool reads_in_place(const Contraction& c) {
  const Weights &term = c.right.term.offset, &column = c.right.outer.offset;
  const Digits& d = c.terms;
  int64_t reach = d.d[0] * term.w[0] + c.cols.d[0] * column.w[0];
  for (int i = 1; i < kDigits; ++i) reach += d.d[i] * term.w[i];
  return has_bare_columns(c) && term.w[3] == 1 && d.d[3] >= kShortLine &&
         column.w[0] * static_cast<int64_t>(sizeof(T)) % kBadPitch != 0 && reach < INT32_MAX;
}

/// An item is one range of row panels against one range of columns, over all terms.
template <class T>
struct BroadcastPlan {
  static constexpr int64_t kW = kLanes<T>, kSize = sizeof(T);

  bool is_turned;
  Contraction problem;
  int64_t rows, cols;
  int64_t vectors;          ///< of rows
  int width = kRowVectors;  ///< vectors of a panel, a power of two
  int64_t panels = 1;
  int64_t row_parts = 1, part_panels = 1;  ///< an item's share of the panels
  int64_t col_parts = 1, part_cols = 1,
          channels = 1;  ///< an item's columns and the channels they touch
  int64_t depth, chunk;
  bool in_place;
  int64_t slab_terms = 0;
  SlabShape slab;  ///< where columns are copied
  int64_t slab_bytes = 0, left_bytes = 0, partial_bytes = 0, table_bytes = 0, step_bytes = 0;

  explicit BroadcastPlan(const Task& task)
      : is_turned(turns<T>(task.problem)),
        problem(is_turned ? turned(task.problem) : task.problem),
        rows(is_turned ? task.cols : task.rows),
        cols(is_turned ? task.rows : task.cols),
        vectors(ceil_div(rows, kW)),
        depth(stack_depth(task)) {
    const int64_t knob = task.tiles.terms;
    chunk = at_most(knob > 0 ? at_most(knob, 4096) : kChunk, at_least(task.terms, 1));
    in_place = task.scalar == (sizeof(T) == 4 ? Scalar::Float32 : Scalar::Float64) &&
               reads_in_place<T>(problem);
    if (!in_place && !slab.fits(problem)) return;
    split(task);
    int64_t elements = kSlabBytes / kSize / channels;
    if (knob > 0) elements = at_most(knob * 16, elements);
    if (in_place) {
      // Partials go to memory and back between slabs.
      slab_terms = at_most(at_least(elements, knob > 0 ? 1 : kFewTerms), kSlabTerms);
      slab_terms = ceil_div(task.terms, ceil_div(task.terms, slab_terms));
    } else {
      slab.size(problem.terms, elements, kSlabTerms);
      slab_terms = slab.most_terms();
      slab_bytes = aligned(channels * slab.channel_pitch * kSize);
    }
    left_bytes = aligned(chunk * kRowVectors * kW * kSize);
    partial_bytes = aligned(part_vectors() * kW * part_cols * depth * kSize);
    table_bytes = aligned((part_cols + slab_terms) * int64_t{sizeof(int32_t)});
    step_bytes = aligned(chunk * int64_t{sizeof(Step)});
  }

  RowPanel panel(int64_t i) const { return row_panel(vectors, width, i); }
  bool possible() const { return slab_terms > 0 && scratch() <= kScratchLimit; }
  int64_t scratch() const {
    return slab_bytes + left_bytes + partial_bytes + table_bytes + step_bytes;
  }

 private:
  int64_t part_vectors() const { return at_most(part_panels * width, vectors); }

  /// Cuts panels and columns into parts: few (each packs its columns, reads its rows' panels), but
  /// enough for the workers and for the memory of the partials. Narrower panels, where there are
  /// fewer of the full ones than workers.
  void split(const Task& task) {
    const int64_t taps = cols / problem.cols.d[0];
    double least = 0;
    for (int wide = kRowVectors; wide > 0; wide /= 2) {
      const int64_t all = row_panels(vectors, wide);
      for (int64_t parts_of_rows = 1;; parts_of_rows *= 2) {
        const int64_t row_part = ceil_div(all, parts_of_rows);
        const int64_t lanes = at_most(row_part * wide, vectors) * kW;
        int64_t fit = at_least(kPartialBytes / (lanes * depth * kSize), 1);
        fit = at_most(fit, kBroadcastColumns);
        if (task.tiles.columns > 0) fit = at_most(fit, task.tiles.columns);
        const int64_t few = ceil_div(cols, fit);
        for (int64_t wanted = few; wanted < few + task.workers; ++wanted) {
          const int64_t part = columns_of_part(cols, taps, wanted, fit);
          const int64_t parts = ceil_div(cols, part);
          const int64_t items = ceil_div(all, row_part) * parts * problem.groups;
          // Multiply-adds of a thread, and what it moves, in vectors a term.
          const double rounds = static_cast<double>(ceil_div(items, task.workers));
          const double work = static_cast<double>(lanes / kW * part) * (wide == 1 ? kOneVector : 1);
          const double moved =
              static_cast<double>(kLeftCost * lanes / kW + kRightCost * part / taps);
          const double cost = rounds * (work + moved);
          if (least == 0 || cost < least) {
            least = cost;
            width = wide;
            panels = all;
            row_parts = ceil_div(all, row_part);
            part_panels = row_part;
            col_parts = parts;
            part_cols = part;
          }
        }
        if (row_part == 1) break;
      }
      if (all >= task.workers) break;
    }
    channels = part_cols % taps == 0
                   ? part_cols / taps
                   : at_most((part_cols + taps - 2) / taps + 1, problem.cols.d[0]);
  }

  static constexpr int64_t kLeftCost = 6, kRightCost = 1;
  static constexpr double kOneVector = 1.1;  // a load for each multiply-add of a lone vector

  /// Whole channels where the parts have several.
  static int64_t columns_of_part(int64_t cols, int64_t taps, int64_t parts, int64_t fit) {
    const int64_t part = ceil_div(cols, parts);
    const int64_t whole = ceil_div(part, taps) * taps;
    return part >= 2 * taps && whole <= fit ? whole : part;
  }
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
