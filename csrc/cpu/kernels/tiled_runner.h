// SPDX-License-Identifier: MIT
// Work items of the tiled and the folded method: a tile of columns, packed chunk by chunk, against
// all row tiles. `Multiply` says which kernel sums a chunk's steps (TiledMultiply, FoldedMultiply).
#pragma once

#include "chunks.h"
#include "output.h"
#include "tiled_plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class T, class S, class Multiply>
class PanelRunner {
 public:
  PanelRunner(const Task& task, void* scratch)
      : task_(task), unsafe_(task.problem.right, task.problem.cols, task.problem.terms) {
    const ScratchSizes<T> sizes(task);
    Carver carver(scratch);
    right_ = carver.take<T>(sizes.right);
    stack_ = carver.take<T>(sizes.stack);
    columns_.place(carver.take(sizes.columns), task.tile_panels * kPanel<T>);
    terms_.place(carver.take(sizes.terms), task.chunk);
    steps_ = carver.take<Step>(sizes.steps);
    work_ = carver.take(sizes.work);
    offsets_ = carver.take<int64_t>(sizes.offsets);
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
    list_columns(first_col);

    if (task_.terms == 0) {
      for (int64_t i = 0; i < panels_ * stack_panel(); ++i) stack_[i] = T{0};
    }
    const Operand& operand = task_.problem.right;
    Packer<T, S> packer(static_cast<const S*>(task_.right) + group_ * operand.group_offset, operand,
                        unsafe_, work_, task_.chunk);
    int64_t done = 0;
    for (Chunks chunks(task_); !chunks.done();) {
      if (task_.terms > task_.chunk || step_count_ == 0) {
        PlaceWriter writer(operand.term, Place{}, task_.problem.terms, unsafe_, terms_);
        step_count_ = Multiply::prepare(steps_, chunks.next(writer, steps_));
      }
      packer.lists_changed();
      const int64_t right_panel = terms_.count * kPanel<T>;
      for (int64_t c = 0; c < panels_ * kPanel<T>; c += kLanes<T>) {
        const int n = static_cast<int>(at_least(at_most(cols_ - c, kLanes<T>), 0));
        T* dst = right_ + c / kPanel<T> * right_panel + c % kPanel<T>;
        if (n > 0) {
          packer.pack(columns_, c, n, kLanes<T>, terms_, dst, kPanel<T>);
        } else {
          for (int64_t t = 0; t < terms_.count; ++t) store<T>(dst + t * kPanel<T>, V<T>{});
        }
      }
      if (task_.arithmetic.fused || !task_.problem.product) {
        multiply<true>(done, right_panel);
      } else {
        multiply<false>(done, right_panel);
      }
      done += terms_.count;
      if (task_.terms <= task_.chunk) break;
    }
    finish(first_col);
  }

 private:
  int64_t stack_panel() const { return task_.block_rows * task_.depth * kPanel<T>; }
  /// Where the stack of a micro-tile begins.
  T* stack_of(int64_t panel, const RowTile& tile) const {
    return stack_ + panel * stack_panel() + (tile.first - first_row_) * task_.depth * kPanel<T>;
  }

  void list_columns(int64_t first) {
    const Operand& operand = task_.problem.right;
    PlaceWriter writer(operand.outer, operand.origin, task_.problem.cols, unsafe_, columns_);
    writer.append_range(first, cols_);
    writer.finish();
  }

  template <bool Fused>
  void multiply(int64_t done, int64_t right_panel) {
    for (int64_t p = 0; p < panels_;) {
      int64_t taken = 1;
      for (int64_t i = first_tile_; i < last_tile_; ++i) {
        // Tiles of one block differ by at most one row: the larger one decides on the panels.
        const RowTile tile = row_tile(task_, i);
        if (i == first_tile_) {
          taken = Multiply::panels_at_once(tile.rows);
          while (taken > panels_ - p) taken /= 2;
        }
        MicroArguments<T> a;
        a.left = static_cast<const T*>(task_.packed_left) +
                 (group_ * task_.rows + tile.first) * task_.terms + done * tile.rows;
        a.rows = tile.rows;
        a.right = right_ + p * right_panel;
        a.right_panel = right_panel;
        a.stack = stack_of(p, tile);
        a.stack_panel = stack_panel();
        a.steps = steps_;
        a.step_count = step_count_;
        Multiply::template find<Fused>(tile.rows, taken)(a);
      }
      p += taken;
    }
  }

  void finish(int64_t first_col) {
    const Output& out = task_.problem.out;
    S* data = static_cast<S*>(task_.out);
    Digits c = task_.problem.cols.decode(first_col);
    bool contiguous = true;
    for (int64_t i = 0; i < cols_; ++i) {
      offsets_[i] = out.offset(group_, Digits{{0, 0, 0, 0}}, c);
      contiguous = contiguous && offsets_[i] == offsets_[0] + i;
      task_.problem.cols.advance(c);
    }
    for (int64_t i = first_tile_; i < last_tile_; ++i) {
      const RowTile tile = row_tile(task_, i);
      for (int r = 0; r < tile.rows; ++r) {
        const int64_t row = tile.first + r;
        const int64_t row_offset = out.row.dot(task_.problem.rows.decode(row));
        const S* bias = task_.bias == nullptr ? nullptr
                                              : static_cast<const S*>(task_.bias) +
                                                    (group_ * task_.rows + row) * task_.bias_stride;
        for (int64_t p = 0; p < panels_; ++p) {
          T* from = stack_of(p, tile) + r * kPanel<T>;
          const int64_t n = at_most(cols_ - p * kPanel<T>, kPanel<T>);
          if (bias != nullptr) add_to_row<T>(from, to_accumulator<T>(*bias));
          if constexpr (__is_same(T, S)) {
            if (contiguous) {
              std::memcpy(data + row_offset + offsets_[p * kPanel<T>], from,
                          static_cast<size_t>(n) * sizeof(T));
              continue;
            }
          }
          convert<T, S>(task_, from, n, data + row_offset, offsets_ + p * kPanel<T>);
        }
      }
    }
  }

  const Task& task_;
  UnsafeAxes unsafe_;
  T* right_;
  T* stack_;
  PlaceList columns_, terms_;
  Step* steps_;
  char* work_;
  int64_t* offsets_;
  int64_t step_count_ = 0;
  int64_t group_ = 0, first_tile_ = 0, last_tile_ = 0, first_row_ = 0, panels_ = 0, cols_ = 0;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
