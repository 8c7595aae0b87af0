// SPDX-License-Identifier: MIT
// The tiled contraction: elements T, an accumulator A that holds them, under a hardware rounding
// that is a constant.
//
// The terms of an item come in chunks that never cross a run's border. While a chunk is multiplied
// out of shared memory, the next one is on its way into registers and the places of the one after
// it are worked out. Each output's terms stay in the order's sequence: threads divide outputs only.
#pragma once

#include "tile_task.h"
// tile_task.h stands before core

#include "../core/order.h"
#include "hardware_ops.h"
#include "values.h"

namespace fpdet::cuda {

/// Fused is not looked at where runs are one term (Shape::kLevels > 0): the task's own word counts.
template <class Shape, class T, class A, Rounding R, bool Fused>
struct TileKernel {
  using Task = TileTask;
  static constexpr int kThreads = Shape::kThreads, kResident = Shape::kResident;
  static constexpr int kRows = Shape::kRows, kCols = Shape::kCols, kTerms = Shape::kTerms;
  static constexpr int kRowsEach = Shape::kRowsEach, kColsEach = Shape::kColsEach;
  static constexpr int kEach = kRowsEach * kColsEach;
  static constexpr int kVector = 16 / sizeof(A);
  /// Between rows of shared memory, so that columns of it lie in different banks.
  static constexpr int kGap = 16 / sizeof(A);
  FPDET_HD static constexpr Rounding rounding(const Task&) { return R; }

  /// Through the terms of an item: what is left of run `run`, and the item's last one.
  struct Walk {
    Run now;
    int64_t run, last;
  };

  struct Shared {
    alignas(16) A left[2][kTerms][kRows + kGap];
    alignas(16) A right[2][kTerms][kCols + kGap];
    int64_t left_term[2][kTerms], right_term[2][kTerms];
    int32_t term_x[2][kAxes][kTerms];
    int64_t row_place[kRows], row_out[kRows];  ///< row_place -1: no such row
    int64_t col_place[kCols], col_out[kCols];
    int32_t col_x[kAxes][kCols];  ///< kOutside: no such column
    Walk walk[2];                 ///< what is left, before a chunk and after it
  };

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    for (int64_t item = block.index(); item < task.items; item += block.count()) {
      Tile<Block>(task, block, item).run();
    }
  }

 private:
  using Ops = HardwareOps<A, R, Fused>;
  static constexpr int32_t kOutside = -(1 << 30);
  static constexpr int kLeftEach = kTerms * kRows / kThreads;
  static constexpr int kRightEach = kTerms * kCols / kThreads;

  struct alignas(16) Vector {
    A v[kVector];
  };

  /// Some terms of one run, in one register: how many, and what ends with them.
  class Chunk {
   public:
    Chunk() = default;
    FPDET_HD Chunk(int count, bool ends_run, bool ends_item)
        : word_(count | (ends_run ? kEndsRun : 0) | (ends_item ? kEndsItem : 0)) {}
    FPDET_HD static Chunk none() { return {0, false, true}; }  ///< the item has ended before
    FPDET_HD int count() const { return word_ & 0xff; }
    FPDET_HD bool ends_run() const { return (word_ & kEndsRun) != 0; }
    FPDET_HD bool ends_item() const { return (word_ & kEndsItem) != 0; }
    FPDET_HD bool is_none() const { return word_ == kEndsItem; }

   private:
    static constexpr int kEndsRun = 0x100, kEndsItem = 0x200;
    int word_ = 0;
  };

  template <class Block>
  class Tile {
   public:
    FPDET_HD Tile(const Task& task, Block& block, int64_t item)
        : task_(task), block_(block), shared_(block.template shared<Shared>()), item_(item) {}

    FPDET_HD void run() {
      const Position at(task_, item_);
      place_rows_and_columns(at);
      if (block_.thread() == 0) {
        const int64_t first = at.run_group * task_.runs_each, end = first + task_.runs_each;
        shared_.walk[0] = {{0, 0, 0}, first - 1, (end < task_.runs ? end : task_.runs) - 1};
      }
      block_.sync();
      clear();
      // One chunk is decoded, the one before it loaded, the one before that multiplied.
      Chunk current, next;
      for (int buffer = 0; current.count() > 0 || !next.is_none(); buffer ^= 1) {
        load(buffer ^ 1, next);
        const Chunk after = next.is_none() ? next : decode(buffer);
        multiply(buffer, current);
        put(buffer ^ 1, next);
        block_.sync();
        current = next;
        next = after;
      }
      finish();
      block_.sync();  // the next item writes where this one still reads its places
    }

   private:
    struct Column {
      int64_t place;
      int32_t x[kAxes];
    };

    /// Of an item.
    struct Position {
      int64_t run_group, row_tile, col_tile, group;

      FPDET_HD Position(const Task& task, int64_t item) {
        const auto number = static_cast<uint32_t>(item);
        const uint32_t runs = task.tiles.quotient(number);
        const uint32_t tile = number - runs * task.tiles.divisor;
        const uint32_t above = task.row_tiles.quotient(tile);
        const uint32_t g = task.col_tiles.quotient(above);
        run_group = runs;
        row_tile = tile - above * task.row_tiles.divisor;
        col_tile = above - g * task.col_tiles.divisor;
        group = g;
      }
    };

    FPDET_HD Schedule schedule() const { return {task_.order, task_.terms, task_.permutation}; }

    // ---- where rows, columns and terms lie ----

    FPDET_HD void place_rows_and_columns(const Position& at) {
      const Contraction& c = task_.problem;
      for (int i = block_.thread(); i < kRows; i += kThreads) {
        const int64_t row = at.row_tile * kRows + i;
        const Digits digits = task_.row_radix.decode(row < task_.rows ? row : 0);
        shared_.row_place[i] = row < task_.rows
                                   ? c.left.origin.offset + at.group * c.left.group_offset +
                                         c.left.outer.offset.dot(digits)
                                   : -1;
        shared_.row_out[i] = c.out.base + at.group * c.out.group_offset + c.out.row.dot(digits);
      }
      for (int i = block_.thread(); i < kCols; i += kThreads) {
        const int64_t col = at.col_tile * kCols + i;
        const Digits digits = task_.col_radix.decode(col < task_.cols ? col : 0);
        const Place place = c.right.origin + c.right.outer.place(digits);
        shared_.col_place[i] = place.offset + at.group * c.right.group_offset;
        shared_.col_out[i] = c.out.col.dot(digits);
        for (int a = 0; a < kAxes; ++a) {
          shared_.col_x[a][i] = col < task_.cols ? static_cast<int32_t>(place.x[a]) : kOutside;
        }
      }
    }

    /// The next chunk; the places of its terms go to buffer's. Chunks take the buffers in turns.
    FPDET_HD Chunk decode(int buffer) {
      Walk walk = shared_.walk[buffer];
      if (walk.now.count == 0 && walk.run == walk.last) return Chunk::none();
      const int count = walk.now.count < kTerms ? static_cast<int>(walk.now.count) : kTerms;
      if (block_.thread() < count) {
        place_term(buffer, schedule().term(walk.now.first + block_.thread() * walk.now.stride));
      }
      const bool ends_run = walk.now.count == count;
      const bool ends_item = ends_run && walk.run == walk.last;
      if (block_.thread() == 0) {
        walk.now.first += count * walk.now.stride;
        walk.now.count -= count;
        if (ends_run && !ends_item) begin_run(walk);
        shared_.walk[buffer ^ 1] = walk;
      }
      return Chunk(count, ends_run, ends_item);
    }

    FPDET_HD void begin_run(Walk& walk) const {
      if constexpr (Shape::kLevels > 0) {  // all of the item's runs of one term at once
        walk.now = {walk.run + 1, 1, walk.last - walk.run};
        walk.run = walk.last;
      } else {
        walk.now = schedule().run(++walk.run);
      }
    }

    FPDET_HD void place_term(int buffer, int64_t term) {
      const Contraction& c = task_.problem;
      const int k = block_.thread();
      const Digits digits = task_.term_radix.decode(term);
      const Place place = c.right.term.place(digits);
      shared_.left_term[buffer][k] = c.left.term.offset.dot(digits);
      shared_.right_term[buffer][k] = place.offset;
      FPDET_UNROLL_ALL
      for (int i = 0; i < kAxes; ++i) {
        shared_.term_x[buffer][i][k] = static_cast<int32_t>(place.x[i]);
      }
    }

    // ---- from the operands by registers to shared memory ----

    FPDET_HD int own() const { return block_.thread() % kCols; }
    FPDET_HD static int left_term_of(int e, bool by_terms) {
      return by_terms ? e % kTerms : e / kRows;
    }
    FPDET_HD static int left_row_of(int e, bool by_terms) {
      return by_terms ? e / kTerms : e % kRows;
    }
    FPDET_HD int right_term_of(int i) const {
      return task_.right_by_terms ? block_.thread() % kTerms
                                  : block_.thread() / kCols + i * (kThreads / kCols);
    }
    FPDET_HD int right_col_of(int i) const {
      return task_.right_by_terms ? block_.thread() / kTerms + i * (kThreads / kTerms) : own();
    }

    FPDET_HD Column column_at(int col) const {
      Column column{shared_.col_place[col], {}};
      for (int a = 0; a < kAxes; ++a) column.x[a] = shared_.col_x[a][col];
      return column;
    }
    FPDET_HD A right_value(const Column& column, int64_t term, const int32_t (&x)[kAxes]) const {
      const Operand& operand = task_.problem.right;
      bool inside = true;
      FPDET_UNROLL_ALL
      for (int a = 0; a < kAxes; ++a) {
        inside &=
            static_cast<uint32_t>(column.x[a] + x[a]) < static_cast<uint32_t>(operand.extent[a]);
      }
      return inside ? static_cast<A>(static_cast<const T*>(task_.right)[column.place + term])
                    : A{0};
    }

    FPDET_HD void load(int buffer, const Chunk& chunk) {
      if (chunk.count() == 0) return;
      FPDET_UNROLL_ALL
      for (int i = 0; i < kLeftEach; ++i) {
        const int e = block_.thread() + i * kThreads;
        const int k = left_term_of(e, task_.left_by_terms);
        const int64_t place = shared_.row_place[left_row_of(e, task_.left_by_terms)];
        left_[i] = A{0};
        if (k < chunk.count() && place != -1) {
          left_[i] = task_.problem.product ? static_cast<A>(static_cast<const T*>(
                                                 task_.left)[place + shared_.left_term[buffer][k]])
                                           : A{1};
        }
      }
      if (task_.right_by_terms) {
        const int k = right_term_of(0);
        if (k >= chunk.count()) return;
        const int64_t term = shared_.right_term[buffer][k];
        int32_t x[kAxes];
        for (int a = 0; a < kAxes; ++a) x[a] = shared_.term_x[buffer][a][k];
        FPDET_UNROLL_ALL
        for (int i = 0; i < kRightEach; ++i) {
          right_[i] = right_value(column_at(right_col_of(i)), term, x);
        }
      } else {
        const Column column = column_at(own());
        FPDET_UNROLL_ALL
        for (int i = 0; i < kRightEach; ++i) {
          const int k = right_term_of(i);
          if (k >= chunk.count()) continue;
          int32_t x[kAxes];
          for (int a = 0; a < kAxes; ++a) x[a] = shared_.term_x[buffer][a][k];
          right_[i] = right_value(column, shared_.right_term[buffer][k], x);
        }
      }
    }

    FPDET_HD void put(int buffer, const Chunk& chunk) {
      if (chunk.count() == 0) return;
      FPDET_UNROLL_ALL
      for (int i = 0; i < kLeftEach; ++i) {
        const int e = block_.thread() + i * kThreads;
        shared_.left[buffer][left_term_of(e, task_.left_by_terms)]
                    [left_row_of(e, task_.left_by_terms)] = left_[i];
      }
      FPDET_UNROLL_ALL
      for (int i = 0; i < kRightEach; ++i) {
        shared_.right[buffer][right_term_of(i)][right_col_of(i)] = right_[i];
      }
    }

    // ---- sums ----

    FPDET_HD int row_of(int i) const {
      const int thread_row = block_.thread() / Shape::kThreadCols;
      return (i / kVector * Shape::kThreadRows + thread_row) * kVector + i % kVector;
    }
    FPDET_HD int col_of(int j) const {
      const int thread_col = block_.thread() % Shape::kThreadCols;
      return (j / kVector * Shape::kThreadCols + thread_col) * kVector + j % kVector;
    }

    /// What this thread needs of term k.
    FPDET_HD void read(int buffer, int k, A (&a)[kRowsEach], A (&b)[kColsEach]) const {
      FPDET_UNROLL_ALL
      for (int i = 0; i < kRowsEach; i += kVector) {
        *reinterpret_cast<Vector*>(a + i) =
            *reinterpret_cast<const Vector*>(&shared_.left[buffer][k][row_of(i)]);
      }
      FPDET_UNROLL_ALL
      for (int j = 0; j < kColsEach; j += kVector) {
        *reinterpret_cast<Vector*>(b + j) =
            *reinterpret_cast<const Vector*>(&shared_.right[buffer][k][col_of(j)]);
      }
    }

    FPDET_HD void clear() {
      FPDET_UNROLL_ALL
      for (int e = 0; e < kEach; ++e) sum_[e] = A{0};
    }

    /// The run of the single term k.
    FPDET_HD void one_term(int buffer, int k, A (&sum)[kEach]) const {
      alignas(16) A a[kRowsEach], b[kColsEach];
      read(buffer, k, a, b);
      if (task_.fused) {
        FPDET_UNROLL_ALL
        for (int e = 0; e < kEach; ++e) {
          sum[e] = ieee_fma<R>(a[e / kColsEach], b[e % kColsEach], A{0});
        }
      } else {
        FPDET_UNROLL_ALL
        for (int e = 0; e < kEach; ++e) {
          sum[e] = ieee_add<R>(A{0}, ieee_mul<R>(a[e / kColsEach], b[e % kColsEach]));
        }
      }
    }

    FPDET_HD void add_term(int buffer, int k, A (&sum)[kEach]) const {
      alignas(16) A a[kRowsEach], b[kColsEach];
      read(buffer, k, a, b);
      FPDET_UNROLL_ALL
      for (int e = 0; e < kEach; ++e) {
        sum[e] = Ops::multiply_add(a[e / kColsEach], b[e % kColsEach], sum[e], 0, 0);
      }
    }

    /// The subtree over the 2^Level one-term runs from k on.
    template <int Level>
    FPDET_HD void subtree(int buffer, int k, A (&sum)[kEach]) const {
      if constexpr (Level == 0) {
        one_term(buffer, k, sum);
      } else {
        subtree<Level - 1>(buffer, k, sum);
        A other[kEach];
        subtree<Level - 1>(buffer, k + (1 << (Level - 1)), other);
        FPDET_UNROLL_ALL
        for (int e = 0; e < kEach; ++e) sum[e] = Ops::add(sum[e], other[e]);
      }
    }

    FPDET_HD void multiply(int buffer, const Chunk& chunk) {
      if constexpr (Shape::kLevels > 0) {
        if (chunk.count() == kTerms) {
          subtree<Shape::kLevels>(buffer, 0, sum_);
          end_of_subtree(Shape::kLevels, chunk.ends_item());
        } else {
          for (int k = 0; k < chunk.count(); ++k) {
            subtree<0>(buffer, k, sum_);
            end_of_subtree(0, chunk.ends_item() && k + 1 == chunk.count());
          }
        }
      } else {
        if (chunk.count() == kTerms) {
          FPDET_UNROLL_ALL
          for (int k = 0; k < kTerms; ++k) add_term(buffer, k, sum_);
        } else {
          for (int k = 0; k < chunk.count(); ++k) add_term(buffer, k, sum_);
        }
        if (chunk.ends_run() && chunk.count() > 0) {
          end_of_subtree(0, chunk.ends_item());
          if (!chunk.ends_item()) clear();
        }
      }
    }

    /// The sum of 2^level runs is done: it is combined with those that wait for it. Subtrees of a
    /// pairwise order are a binary counter.
    FPDET_HD void end_of_subtree(int level, bool last) {
      done_ += 1 << level;
      int folds = waiting_;
      if (!last && !task_.first_to_last) {
        folds = -level;
        for (int n = done_; (n & 1) == 0; n >>= 1) ++folds;
      }
      for (; folds > 0; --folds) {
        --waiting_;
        FPDET_UNROLL_ALL
        for (int e = 0; e < kEach; ++e) sum_[e] = Ops::add(*waiting(e), sum_[e]);
      }
      if (last) return;
      FPDET_UNROLL_ALL
      for (int e = 0; e < kEach; ++e) *waiting(e) = sum_[e];
      ++waiting_;
    }
    FPDET_HD A* waiting(int e) const {
      const int64_t level = block_.index() * task_.depth + waiting_;
      return static_cast<A*>(task_.stack) + (level * kEach + e) * kThreads + block_.thread();
    }

    FPDET_HD void finish() const {
      const Position at(task_, item_);
      FPDET_UNROLL_ALL
      for (int i = 0; i < kRowsEach; ++i) {
        const int r = row_of(i);
        const int64_t row = at.row_tile * kRows + r;
        if (row >= task_.rows) continue;
        const int64_t number = at.group * task_.rows + row;
        A bias{0};
        if (task_.bias != nullptr && task_.partials == nullptr) {
          bias = static_cast<const A*>(task_.bias)[number * task_.bias_stride];
        }
        FPDET_UNROLL_ALL
        for (int j = 0; j < kColsEach; ++j) {
          const int c = col_of(j);
          const int64_t col = at.col_tile * kCols + c;
          if (col >= task_.cols) continue;
          const A sum = sum_[i * kColsEach + j];
          if (task_.partials != nullptr) {
            static_cast<A*>(
                task_.partials)[at.run_group * task_.outputs() + number * task_.cols + col] = sum;
          } else {
            static_cast<A*>(task_.out)[shared_.row_out[r] + shared_.col_out[c]] =
                task_.bias != nullptr ? Ops::add(sum, bias) : sum;
          }
        }
      }
    }

    const Task& task_;
    Block& block_;
    Shared& shared_;
    int64_t item_;
    A left_[kLeftEach], right_[kRightEach];
    A sum_[kEach];
    int waiting_ = 0;  ///< partials on the stack
    int done_ = 0;     ///< runs
  };
};

}  // namespace fpdet::cuda
