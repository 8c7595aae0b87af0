// SPDX-License-Identifier: MIT
// Work items of the window method: a box of columns and a block of rows. Per chunk of terms, the
// right operands that the box meets are copied once, +0 where they lie outside: each serves all its
// taps from there. Left operands are packed panel by panel.
#pragma once

#include "output.h"
#include "run_steps.h"
#include "window_filler.h"
#include "window_micro.h"
#include "window_plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class T, class S>
class WindowRunner {
 public:
  WindowRunner(const Task& task, void* scratch)
      : task_(task),
        geometry_(task.problem),
        unsafe_left_(task.problem.left, task.problem.rows, task.problem.terms),
        layout_(geometry_, task.box, 1, sizeof(T)),
        keeps_left_(window_keeps_left<T>(task)) {
    const WindowSizes<T> sizes(task);
    Carver carver(scratch);
    window_ = carver.take<T>(sizes.window);
    left_ = carver.take<T>(sizes.left);
    stack_ = carver.take<T>(sizes.stack);
    columns_ = carver.take<int32_t>(sizes.columns);
    sources_ = carver.take<int64_t>(sizes.sources);
    outputs_ = carver.take<int64_t>(sizes.outputs);
    terms_ = carver.take<int32_t>(sizes.terms);
    rows_.place(carver.take(sizes.rows), kPanel<T>);
    row_terms_.place(carver.take(sizes.row_terms), task.chunk);
    steps_ = carver.take<Step>(sizes.steps);
    work_ = carver.take(sizes.work);
  }

  void run(int64_t item) {
    const Contraction& problem = task_.problem;
    set_box(item % task_.col_tiles);
    const int64_t block = item / task_.col_tiles % task_.row_blocks;
    group_ = item / task_.col_tiles / task_.row_blocks;
    first_panel_ = block * task_.block_tiles;
    panels_ = at_most(task_.block_tiles, task_.row_tiles - first_panel_);
    cols_ = box_.size.product();
    layout_ = WindowLayout(geometry_, box_.size, window_channels(task_, geometry_.taps), sizeof(T));
    list_columns();

    if (task_.terms == 0) {
      for (int64_t p = 0; p < panels_; ++p) {
        for (int64_t i = 0; i < panel_stack(); ++i) stack_of(p)[i] = T{0};
        finish(p);
      }
    }
    const bool packed = keeps_left_ && packed_ == item / task_.col_tiles;
    Packer<T, S> packer(static_cast<const S*>(task_.left) + group_ * problem.left.group_offset,
                        problem.left, unsafe_left_, work_, task_.chunk);
    int64_t done = 0;
    const Schedule schedule = schedule_of(task_);
    for (RunSteps walk(schedule); !walk.done();) {
      count_ = 0;
      const int64_t steps =
          walk.next(task_.chunk, steps_, [&](int64_t, int64_t, int64_t n) { count_ += n; });
      if (!packed) {
        PlaceWriter writer(problem.left.term, Place{}, problem.terms, unsafe_left_, row_terms_);
        writer.append_range(done, count_);
        writer.finish();
        packer.lists_changed();
      }
      list_terms(done);
      for (int64_t p = 0; p < panels_; ++p) {
        T* left = keeps_left_ ? left_ + (p * task_.terms + done) * kPanel<T> : left_;
        if (!packed) pack_panel(packer, p, left);
        multiply(p, left, steps, {!packed && p + 1 < panels_, walk.done()});
        if (walk.done()) finish(p);
      }
      done += count_;
    }
    packed_ = item / task_.col_tiles;
  }

 private:
  int64_t panel_stack() const { return task_.depth * cols_ * kPanel<T>; }

  /// One panel after another takes the same stack where a single chunk has all terms.
  T* stack_of(int64_t panel) const {
    return stack_ + (window_stacks(task_) > 1 ? panel * panel_stack() : 0);
  }

  void set_box(int64_t number) {
    for (int i = kDigits - 1; i >= 0; --i) {
      const int64_t all = task_.problem.cols.d[i], count = ceil_div(all, task_.box.d[i]);
      box_.first.d[i] = number % count * task_.box.d[i];
      box_.size.d[i] = at_most(task_.box.d[i], all - box_.first.d[i]);
      number /= count;
    }
  }

  /// Places of the columns in the window and in the output.
  void list_columns() {
    const Output& out = task_.problem.out;
    int64_t i = 0;
    for (Digits d{{0, 0, 0, 0}}; i < cols_; ++i) {
      int64_t place = d.d[0] * layout_.sample;
      Digits column;
      for (int k = 0; k < kDigits; ++k) column.d[k] = box_.first.d[k] + d.d[k];
      for (int a = 0; a < kAxes; ++a) {
        place += d.d[a + 1] * geometry_.axis[a].by_column * layout_.axis[a];
      }
      columns_[i] = static_cast<int32_t>(place);
      if (geometry_.strips) sources_[i] = task_.problem.right.outer.offset.dot(column);
      outputs_[i] = out.offset(group_, Digits{{0, 0, 0, 0}}, column);
      box_.size.advance(d);
    }
    if (!geometry_.strips) return;
    const WindowTiles tiles(cols_);
    i = 0;
    for (int64_t tile = 0; tile < tiles.count; ++tile) {
      for (int64_t j = 0; j < tiles.columns(tile); ++j) {
        columns_[i++] = static_cast<int32_t>(tile * layout_.strip + j);
      }
    }
  }

  /// Places of terms first, first + 1, ... in the window, and the window's content.
  void list_terms(int64_t first) {
    const Digits& radix = task_.problem.terms;
    Digits d = radix.decode(first);
    const int64_t channel = d.d[0];
    for (int64_t i = 0; i < count_; ++i) {
      int64_t place = (d.d[0] - channel) * layout_.channel;
      for (int a = 0; a < kAxes; ++a) {
        const WindowAxis& axis = geometry_.axis[a];
        const int64_t grains = axis.by_term * d.d[a + 1] + (axis.by_term < 0 ? axis.reach : 0);
        place += grains * layout_.axis[a];
      }
      terms_[i] = static_cast<int32_t>(place);
      radix.advance(d);
    }
    const int64_t channels = radix.decode(first + count_ - 1).d[0] - channel + 1;
    const WindowFiller<T, S> filler{task_, geometry_, layout_, box_, sources_, window_};
    filler.fill(group_, channel, channels, first == 0);
  }

  void pack_panel(Packer<T, S>& packer, int64_t panel, T* left) {
    const Operand& operand = task_.problem.left;
    const int64_t first = (first_panel_ + panel) * kPanel<T>;
    const int64_t count = at_most(kPanel<T>, task_.rows - first);
    PlaceWriter writer(operand.outer, operand.origin, task_.problem.rows, unsafe_left_, rows_);
    writer.append_range(first, count);
    writer.finish();
    for (int64_t r = 0; r < kPanel<T>; r += kLanes<T>) {
      const int n = static_cast<int>(at_least(at_most(count - r, kLanes<T>), 0));
      if (n > 0) {
        packer.pack(rows_, r, n, kLanes<T>, row_terms_, left + r, kPanel<T>);
      } else {
        for (int64_t t = 0; t < row_terms_.count; ++t) store<T>(left + t * kPanel<T> + r, V<T>{});
      }
    }
  }

  /// Left operands of the next panel come from far away: asked for ahead, a few at a time.
  class Ahead {
   public:
    Ahead(const WindowRunner& r, int64_t panel, int64_t rounds) : entry_(r.row_terms_.entry) {
      const Operand& operand = r.task_.problem.left;
      const int64_t first = (r.first_panel_ + panel) * kPanel<T>;
      const auto offset = [&](int64_t row) {
        return operand.origin.offset + operand.outer.offset.dot(r.task_.problem.rows.decode(row));
      };
      rows_ = at_most(kPanel<T>, r.task_.rows - first);
      data_ = static_cast<const S*>(r.task_.left) + r.group_ * operand.group_offset + offset(first);
      row_ = rows_ > 1 ? offset(first + 1) - offset(first) : 0;
      count_ = r.count_;
      // One term a cache line, or one of each channel.
      while (step_ < count_ && step_ < 64 / static_cast<int64_t>(sizeof(S)) &&
             entry_[step_].offset == entry_[0].offset + step_) {
        ++step_;
      }
      step_ = at_least(step_, at_most(r.geometry_.taps, 64 / static_cast<int64_t>(sizeof(S))));
      share_ = ceil_div(rows_ * ceil_div(count_, step_), rounds);
    }
    void next() {
      for (int64_t i = 0; i < share_ && t_ < count_; ++i) {
        __builtin_prefetch(data_ + at_ * row_ + entry_[t_].offset, 0, 2);
        if (++at_ == rows_) {
          at_ = 0;
          t_ += step_;
        }
      }
    }

   private:
    const Entry* entry_;
    const S* data_;
    int64_t rows_, row_, count_, share_, step_ = 1, t_ = 0, at_ = 0;
  };

  /// Where the rows of a panel lie in the output.
  struct PanelRows {
    int64_t first, count;  ///< of the group's rows
    int64_t row[kPanel<T>];
  };
  PanelRows rows_of(int64_t panel) const {
    PanelRows rows;
    rows.first = (first_panel_ + panel) * kPanel<T>;
    rows.count = at_most(kPanel<T>, task_.rows - rows.first);
    for (int64_t r = 0; r < rows.count; ++r) {
      rows.row[r] = task_.problem.out.row.dot(task_.problem.rows.decode(rows.first + r));
    }
    return rows;
  }

  /// What is asked for while a panel's sums grow.
  struct Wanted {
    bool left;     ///< of the next panel
    bool outputs;  ///< its own: they are about to be written
  };

  void multiply(int64_t panel, const T* left, int64_t steps, Wanted wanted) {
    WindowArguments<T> a;
    a.left = left;
    a.window = window_;
    a.term = terms_;
    a.level = cols_ * kPanel<T>;
    a.steps = steps_;
    a.step_count = steps;
    const WindowTiles tiles(cols_);
    const WindowMicro<T> larger = find_window_micro<T>(static_cast<int>(tiles.columns(0)));
    const WindowMicro<T> smaller = find_window_micro<T>(static_cast<int>(tiles.base));
    const auto run_tiles = [&](auto&& ahead) {
      int64_t column = 0;
      for (int64_t i = 0; i < tiles.count; ++i) {
        ahead(column);
        a.column = columns_ + column;
        a.stack = stack_of(panel) + column * kPanel<T>;
        (i < tiles.extra ? larger : smaller)(a);
        column += tiles.columns(i);
      }
    };
    const auto run_to_output = [&](auto&& ahead) {
      if (!wanted.outputs) {
        run_tiles([&](int64_t) { ahead(); });
        return;
      }
      constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(S));
      const S* data = static_cast<const S*>(task_.out);
      const PanelRows rows = rows_of(panel);
      int64_t asked = 0;
      run_tiles([&](int64_t column) {
        ahead();
        for (; asked <= column; asked += kLine) {
          for (int64_t r = 0; r < rows.count; ++r) {
            __builtin_prefetch(data + rows.row[r] + outputs_[asked], 1, 2);
          }
        }
      });
    };
    if (wanted.left) {
      Ahead ahead(*this, panel + 1, tiles.count);
      run_to_output([&] { ahead.next(); });
    } else {
      run_to_output([] {});
    }
  }

  void add_bias(T* stack, int64_t first, int64_t count) const {
    alignas(64) T bias[kPanel<T>] = {};
    for (int64_t r = 0; r < count; ++r) {
      bias[r] = to_accumulator<T>(
          static_cast<const S*>(task_.bias)[(group_ * task_.rows + first + r) * task_.bias_stride]);
    }
    add_to_rows<T>(stack, cols_, bias);
  }

  /// Biases and conversion of a panel, on its way to the output.
  void finish(int64_t panel) {
    const Output& out = task_.problem.out;
    S* data = static_cast<S*>(task_.out);
    T* stack = stack_of(panel);
    const auto [first, count, row] = rows_of(panel);
    if (task_.bias != nullptr) add_bias(stack, first, count);
    const bool neighbours =
        count > 1 && row[1] - row[0] == 1 && row[count - 1] - row[0] == count - 1;
    if (neighbours) {
      for (int64_t c = 0; c < cols_; ++c) {
        if constexpr (__is_same(T, S)) {
          if (count == kPanel<T>) {
            std::memcpy(data + outputs_[c] + row[0], stack + c * kPanel<T>, kPanel<T> * sizeof(T));
            continue;
          }
        }
        put(stack + c * kPanel<T>, count, data + outputs_[c], row, true);
      }
      return;
    }
    if constexpr (__is_same(T, S)) {
      const int64_t stretch = neighbouring_columns(out);
      if (stretch >= kLanes<T>) {
        for (int64_t c = 0; c < cols_; c += stretch) finish_stretch(stack, c, stretch, count, row);
        return;
      }
    }
    for (int64_t c = 0; c < cols_; c += kLanes<T>) {
      const int64_t n = at_most(cols_ - c, kLanes<T>);
      const bool run = outputs_[c + n - 1] - outputs_[c] == n - 1;
      for (int64_t r = 0; r < count; r += kLanes<T>) {
        V<T> v[kLanes<T>];
        for (int64_t l = 0; l < kLanes<T>; ++l) {
          v[l] = l < n ? load<T>(stack + (c + l) * kPanel<T> + r) : V<T>{};
        }
        transpose<T>(v);
        for (int64_t l = 0; l < at_most(count - r, kLanes<T>); ++l) {
          alignas(64) T line[kLanes<T>];
          if constexpr (__is_same(T, S)) {
            if (run && n == kLanes<T>) {
              store<T>(data + row[r + l] + outputs_[c], v[l]);
              continue;
            }
          }
          store<T>(line, v[l]);
          put(line, n, data + row[r + l], outputs_ + c, run);
        }
      }
    }
  }

  /// Columns of the box that lie side by side in the output: the first of them, and so on.
  int64_t neighbouring_columns(const Output& out) const {
    int64_t count = 1;
    for (int k = kDigits - 1; k >= 0; --k) {
      if (box_.size.d[k] == 1) continue;
      if (out.col.w[k] != count) break;
      count *= box_.size.d[k];
    }
    return count;
  }

  /// Turns `n` columns from `first` on into parts of rows; the last vector lies back over its
  /// neighbour.
  void finish_stretch(const T* stack, int64_t first, int64_t n, int64_t count,
                      const int64_t* row) const {
    constexpr int64_t kW = kLanes<T>;
    T* data = static_cast<T*>(task_.out) + outputs_[first];
    stack += first * kPanel<T>;
    for (int64_t i = 0; i < n; i += kW) {
      const int64_t c = at_most(i, n - kW);
      for (int64_t r = 0; r < count; r += kW) {
        V<T> v[kW];
#pragma GCC unroll 16
        for (int64_t l = 0; l < kW; ++l) v[l] = load<T>(stack + (c + l) * kPanel<T> + r);
        transpose<T>(v);
        if (count - r >= kW) {
#pragma GCC unroll 16
          for (int64_t l = 0; l < kW; ++l) store<T>(data + row[r + l] + c, v[l]);
        } else {
          for (int64_t l = 0; l < count - r; ++l) store<T>(data + row[r + l] + c, v[l]);
        }
      }
    }
  }

  /// Elements to[place[0]], to[place[1]], ...; one after the other where `run`.
  void put(const T* from, int64_t n, S* to, const int64_t* place, bool run) const {
    if constexpr (__is_same(T, S)) {
      if (run) {
        std::memcpy(to + place[0], from, static_cast<size_t>(n) * sizeof(T));
        return;
      }
    }
    convert<T, S>(task_, from, n, to, place);
  }

  const Task& task_;
  WindowGeometry geometry_;
  UnsafeAxes unsafe_left_;
  WindowLayout layout_;
  Box box_;
  T* window_;
  T* left_;   ///< [panel][term][kPanel] of a block where it is kept, one panel's chunk else
  T* stack_;  ///< [panel, or none of them][level][column][kPanel]
  int32_t* columns_;
  int64_t* sources_;  ///< of the columns in the operand, where the window has strips
  int64_t* outputs_;
  int32_t* terms_;
  PlaceList rows_, row_terms_;
  Step* steps_;
  char* work_;
  bool keeps_left_;
  int64_t packed_ = -1;  ///< block whose left operands are kept
  int64_t count_ = 0;    ///< terms of the chunk
  int64_t group_ = 0, first_panel_ = 0, panels_ = 0, cols_ = 0;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
