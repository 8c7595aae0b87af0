// SPDX-License-Identifier: MIT
// Work items of the exact method: a tile of columns against rows as in the tiled method, summed in
// float64 under round to nearest, then settled output by output (core/exact_stages.h).
#pragma once

#include "chunks.h"
#include "exact_plan.h"
#include "output.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class S>
class ExactRunner {
  using T = double;

 public:
  ExactRunner(const Task& task, void* scratch)
      : task_(task),
        settler_(task),
        unsafe_(task.problem.right, task.problem.cols, task.problem.terms) {
    const ScratchSizes<T> sizes(task);
    Carver carver(scratch);
    right_ = carver.take<T>(sizes.right);
    stack_ = carver.take<T>(sizes.stack);
    columns_.place(carver.take(sizes.columns), task.tile_panels * kPanel<T>);
    terms_.place(carver.take(sizes.terms), task.chunk);
    steps_ = carver.take<Step>(sizes.steps);
    work_ = carver.take(sizes.work);
    offsets_ = carver.take<int64_t>(sizes.offsets);
    bounds_.place(carver.take(column_bounds_bytes(task)), task.tile_panels * kPanel<T>);
    relative_ = relative_error(exact_depth(task));
  }

  void run(int64_t item) {
    const int64_t col_tile = item % task_.col_tiles;
    const int64_t block = item / task_.col_tiles % task_.row_blocks;
    group_ = item / task_.col_tiles / task_.row_blocks;
    first_tile_ = block * task_.block_tiles;
    last_tile_ = at_most(first_tile_ + task_.block_tiles, task_.row_tiles);
    first_row_ = row_tile(task_, first_tile_).first;
    const int64_t first_panel = col_tile * task_.tile_panels;
    panels_ = at_most(task_.tile_panels, task_.panels - first_panel);
    if (panels_ <= 0) return;  // rounding up left no columns for the last tiles
    const int64_t first_col = first_panel * kPanel<T>;
    cols_ = at_most(panels_ * kPanel<T>, task_.cols - first_col);
    sum(first_col);
    bounds_.finish(panels_ * kPanel<T>);
    const EnvironmentGuard guard(task_.arithmetic.rounding);
    finish(first_col);
  }

 private:
  int64_t stack_panel() const { return task_.block_rows * task_.depth * kPanel<T>; }
  /// Where the stack of a micro-tile begins.
  T* stack_of(int64_t panel, const RowTile& tile) const {
    return stack_ + panel * stack_panel() + (tile.first - first_row_) * task_.depth * kPanel<T>;
  }
  const T* left_of(const RowTile& tile) const {
    return static_cast<const T*>(task_.packed_left) +
           (group_ * task_.rows + tile.first) * task_.terms;
  }

  void sum(int64_t first_col) {
    const Operand& operand = task_.problem.right;
    PlaceWriter column_writer(operand.outer, operand.origin, task_.problem.cols, unsafe_, columns_);
    column_writer.append_range(first_col, cols_);
    column_writer.finish();
    bounds_.clear(panels_ * kPanel<T>);
    Packer<T, S> packer(static_cast<const S*>(task_.right) + group_ * operand.group_offset, operand,
                        unsafe_, work_, task_.chunk);
    if (task_.terms == 0) {
      for (int64_t i = 0; i < panels_ * stack_panel(); ++i) stack_[i] = T{0};
    }
    int64_t done = 0;
    for (Chunks chunks(task_); !chunks.done(); done += terms_.count) {
      PlaceWriter writer(operand.term, Place{}, task_.problem.terms, unsafe_, terms_);
      const int64_t step_count = chunks.next(writer, steps_);
      packer.lists_changed();
      for (int64_t p = 0; p < panels_; ++p) pack_panel(packer, p);
      multiply(done, step_count);
    }
  }

  void pack_panel(Packer<T, S>& packer, int64_t p) {
    T* panel = right_ + p * terms_.count * kPanel<T>;
    for (int64_t c = 0; c < kPanel<T>; c += kLanes<T>) {
      const int64_t at = p * kPanel<T> + c;
      const int n = static_cast<int>(at_least(at_most(cols_ - at, kLanes<T>), 0));
      if (n > 0) {
        packer.pack(columns_, at, n, kLanes<T>, terms_, panel + c, kPanel<T>);
      } else {
        for (int64_t t = 0; t < terms_.count; ++t) {
          kernels::store<T>(panel + c + t * kPanel<T>, V<T>{});
        }
      }
    }
    bounds_.observe_panel(panel, terms_.count, p * kPanel<T>);
  }

  /// A micro-tile's rows stay in the nearest cache while the panels come from the next one.
  void multiply(int64_t done, int64_t step_count) {
    const int64_t right_panel = terms_.count * kPanel<T>;
    for (int64_t i = first_tile_; i < last_tile_; ++i) {
      const RowTile tile = row_tile(task_, i);
      int64_t taken = panels_at_once(tile.rows);
      for (int64_t p = 0; p < panels_; p += taken) {
        while (taken > panels_ - p) taken /= 2;
        MicroArguments<T> a;
        a.left = left_of(tile) + done * tile.rows;
        a.right = right_ + p * right_panel;
        a.right_panel = right_panel;
        a.stack = stack_of(p, tile);
        a.stack_panel = stack_panel();
        a.steps = steps_;
        a.step_count = step_count;
        find_micro<T, true>(tile.rows, static_cast<int>(taken))(a);
      }
    }
  }

  __attribute__((noinline)) void finish(int64_t first_col) {
    const Output& out = task_.problem.out;
    Digits c = task_.problem.cols.decode(first_col);
    for (int64_t i = 0; i < cols_; ++i) {
      offsets_[i] = out.offset(group_, Digits{{0, 0, 0, 0}}, c);
      task_.problem.cols.advance(c);
    }
    for (int64_t i = first_tile_; i < last_tile_; ++i) finish_tile(row_tile(task_, i), first_col);
  }

  /// Panel by panel, so that sums are read as they lie and the columns' bounds serve all rows.
  void finish_tile(const RowTile& tile, int64_t first_col) {
    const bool biased = task_.bias != nullptr;
    const bool hardware = is_hardware(task_.arithmetic.rounding);
    double bias[kMaxRows];
    RowBounds rows[kMaxRows];
    InexactTest inexact[kMaxRows];
    S* data[kMaxRows];
    for (int r = 0; r < tile.rows; ++r) {
      const int64_t number = group_ * task_.rows + tile.first + r;
      if (biased) bias[r] = widen(static_cast<const S*>(task_.bias)[number * task_.bias_stride]);
      rows[r] = row_bounds(left_bounds(task_)[number], biased ? bias + r : nullptr,
                           task_.arithmetic.rounding);
      inexact[r] = InexactTest(rows[r], biased, relative_);
      data[r] = static_cast<S*>(task_.out) +
                task_.problem.out.row.dot(task_.problem.rows.decode(tile.first + r));
    }
    int64_t settled[2] = {0, 0};  // by the first stage, by the second
    for (int64_t p = 0; p < panels_; ++p) {
      const int64_t first = p * kPanel<T>;
      const int n = static_cast<int>(at_most(cols_ - first, kPanel<T>));
      const int64_t* to = offsets_ + first;
      const bool neighbours = to[n - 1] - to[0] == n - 1;  // offsets ascend
      const T* sums = stack_of(p, tile);
      for (int r = 0; r < tile.rows; ++r, sums += kPanel<T>) {
        S results[kPanel<T>];
        bool done = false;
        if constexpr (__is_same(S, float)) {
          if (hardware && n == kPanel<T>) {
            float* place = neighbours ? data[r] + to[0] : results;
            const bool inexact_all = inexact[r].covers(bounds_.ratio[p]);
            done = inexact_all
                       ? settle_inexact<kPanel<T>>(inexact[r], sums, bounds_.norm + first, place)
                       : settle_exact<kPanel<T>>(rows[r], biased, sums, bounds_.norm + first,
                                                 bounds_.quantum + first, place);
            settled[inexact_all] += done ? n : 0;
          }
        }
        if (done) {
          if (neighbours) continue;
        } else {
          settle_panel(tile, r, rows[r], biased ? bias + r : nullptr, sums, first, n, first_col,
                       results);
        }
        if (neighbours) {
          std::memcpy(data[r] + to[0], results, static_cast<size_t>(n) * sizeof(S));
        } else {
          for (int l = 0; l < n; ++l) data[r][to[l]] = results[l];
        }
      }
    }
    settler_.count(0, settled[0]);
    settler_.count(1, settled[1]);
  }

  __attribute__((noinline)) void settle_panel(const RowTile& tile, int r, const RowBounds& row,
                                              const double* bias, const T* sums, int64_t first,
                                              int n, int64_t first_col, S* results) {
    PanelTest test;
    test.sums = sums;
    test.norm = bounds_.norm + first;
    test.quantum = bounds_.quantum + first;
    test.patterns = bounds_.patterns + first;
    test.row = row;
    test.has_bias = bias != nullptr;
    test.relative = relative_;
    Unsettled at;
    at.group = group_;
    at.row = task_.problem.rows.decode(tile.first + r);
    at.left = left_of(tile) + r;
    at.left_step = tile.rows;
    at.bias = bias;
    settler_.template settle<kPanel<T>>(
        test, n, ~uint32_t{0}, at,
        [&](int l) { return task_.problem.cols.decode(first_col + first + l); }, results);
  }

  const Task& task_;
  ExactSettler<S> settler_;
  UnsafeAxes unsafe_;
  T* right_;
  T* stack_;
  PlaceList columns_, terms_;
  Step* steps_;
  char* work_;
  int64_t* offsets_;
  ColumnBounds bounds_;
  double relative_;
  int64_t group_ = 0, first_tile_ = 0, last_tile_ = 0, first_row_ = 0, panels_ = 0, cols_ = 0;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
