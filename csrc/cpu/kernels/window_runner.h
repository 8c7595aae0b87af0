// SPDX-License-Identifier: MIT
// Work items of the window method: a box of columns and a block of rows. Per chunk of terms, the
// right operands that the box meets are copied once, +0 where they lie outside: each serves all its
// taps from there. Left operands are packed panel by panel. Columns leave out taps that lie outside
// (window_classes.h), unless the result could show it.
#pragma once

#include "output.h"
#include "row_packer.h"
#include "run_steps.h"
#include "window_classes.h"
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
        keeps_left_(window_keeps_left<T>(task)),
        skips_(window_classes(task.problem) > 1) {
    const WindowSizes<T> sizes(task);
    Carver carver(scratch);
    window_ = carver.take<T>(sizes.window);
    left_ = carver.take<T>(sizes.left);
    stack_ = carver.take<T>(sizes.stack);
    columns_ = carver.take<int32_t>(sizes.columns);
    slots_ = carver.take<int32_t>(sizes.slots);
    sources_ = carver.take<int64_t>(sizes.sources);
    outputs_ = carver.take<int64_t>(sizes.outputs);
    terms_ = carver.take<WindowTerm>(sizes.terms);
    rows_.place(carver.take(sizes.rows), kPanel<T>);
    row_terms_.place(carver.take(sizes.row_terms), task.chunk);
    steps_ = carver.take<Step>(sizes.steps);
    class_steps_ = carver.take<Step>(sizes.class_steps);
    work_ = carver.take(sizes.work);
  }

  void run(int64_t item) {
    if (sum(item)) return;
    skips_ = false;
    packed_ = -1;
    sum(item);
  }

 private:
  /// False: what was left out may have changed the result.
  bool sum(int64_t item) {
    const Contraction& problem = task_.problem;
    set_box(item % task_.col_tiles);
    const int64_t block = item / task_.col_tiles % task_.row_blocks;
    group_ = item / task_.col_tiles / task_.row_blocks;
    first_panel_ = block * task_.block_tiles;
    panels_ = at_most(task_.block_tiles, task_.row_tiles - first_panel_);
    cols_ = box_.size.product();
    out_ =
        static_cast<S*>(task_.out) + problem.out.offset(group_, Digits{{0, 0, 0, 0}}, box_.first);
    if (!columns_are_listed()) {
      layout_ =
          WindowLayout(geometry_, box_.size, window_channels(task_, geometry_.taps), sizeof(T));
      classes_.set(problem, box_, WindowLines(geometry_, layout_), skips_);
      list_columns();
      listed_ = -1;
    }

    if (task_.terms == 0) {
      for (int64_t p = 0; p < panels_; ++p) {
        for (int64_t i = 0; i < panel_stack(); ++i) stack_of(p)[i] = T{0};
        finish(p);
      }
    }
    const bool packed = keeps_left_ && packed_ == item / task_.col_tiles;
    const S* data = static_cast<const S*>(task_.left) + group_ * problem.left.group_offset;
    Packer<T, S> packer(data, problem.left, unsafe_left_, work_, task_.chunk);
    const RowPacker<T, S> rows(problem, data + problem.left.origin.offset);
    const bool plain = has_plain_rows(problem) && rows.line() >= kPlainLine;
    int64_t done = 0;
    const Schedule schedule = schedule_of(task_);
    for (RunSteps walk(schedule); !walk.done();) {
      count_ = 0;
      const int64_t steps =
          walk.next(task_.chunk, steps_, [&](int64_t, int64_t, int64_t n) { count_ += n; });
      if (!packed && !plain) {
        PlaceWriter writer(problem.left.term, Place{}, problem.terms, unsafe_left_, row_terms_);
        writer.append_range(done, count_);
        writer.finish();
        packer.lists_changed();
      }
      fill_window(done);
      list_terms(done % geometry_.taps);
      list_steps(steps);
      for (int64_t p = 0; p < panels_; ++p) {
        T* left = keeps_left_ ? left_ + (p * task_.terms + done) * kPanel<T> : left_;
        if (!packed && plain) {
          constexpr int kVectors = kPanel<T> / kLanes<T>;
          rows.pack((first_panel_ + p) * kVectors, kVectors, done, count_, left);
        } else if (!packed) {
          pack_panel(packer, p, left);
        }
        // Asked of every box: what is packed for one that leaves nothing out stays for the next.
        if (!packed && skips_ && !all_finite(left)) return false;
        multiply(p, left, steps, {!packed && !plain && p + 1 < panels_, walk.done()});
        if (!walk.done()) continue;
        if (doubtful(p)) return false;
        finish(p);
      }
      done += count_;
    }
    packed_ = item / task_.col_tiles;
    return true;
  }

  static constexpr int64_t kPlainLine = 64;  // terms that lie side by side, at least

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

  /// Lines of neighbouring columns, f(digits of the first, how many).
  template <class F>
  static void for_each_line(const Box& box, F&& f) {
    Digits lines = box.size, d{{0, 0, 0, 0}};
    lines.d[kDigits - 1] = 1;
    for (int64_t i = lines.product(); i > 0; --i) {
      Digits first;
      for (int k = 0; k < kDigits; ++k) first.d[k] = box.first.d[k] + d.d[k];
      f(first, box.size.d[kDigits - 1]);
      lines.advance(d);
    }
  }

  /// Boxes that differ in their samples alone have the same lists.
  bool columns_are_listed() {
    bool same = !geometry_.strips && listed_skips_ == skips_;
    for (int i = 0; i < kDigits; ++i) {
      same = same && listed_box_.size.d[i] == box_.size.d[i] &&
             (i == 0 || listed_box_.first.d[i] == box_.first.d[i]);
    }
    listed_box_ = box_;
    listed_skips_ = skips_;
    return same;
  }

  /// Places of the columns in the output, from the first one's on, and, class by class, in the
  /// window.
  void list_columns() {
    constexpr int kLast = kDigits - 1;
    const Output& out = task_.problem.out;
    const Weights& right = task_.problem.right.outer.offset;
    int64_t column = 0;
    for_each_line(box_, [&](const Digits& first, int64_t count) {
      const int64_t place = out.col.dot(first) - out.col.dot(box_.first), hop = out.col.w[kLast];
      const int64_t source = right.dot(first);
      for (int64_t i = 0; i < count; ++i) outputs_[column + i] = place + i * hop;
      for (int64_t i = 0; geometry_.strips && i < count; ++i) {
        sources_[column + i] = source + i * right.w[kLast];
      }
      column += count;
    });
    if (geometry_.strips) {
      list_strips();
      return;
    }
    Weights places{{layout_.sample, 0, 0, 0}}, numbers;
    int64_t size = 1;
    for (int k = kLast; k >= 0; --k) {
      if (k > 0) places.w[k] = geometry_.axis[k - 1].by_column * layout_.axis[k - 1];
      numbers.w[k] = size;
      size *= box_.size.d[k];
    }
    int32_t slot = 0;
    for (int n = 0; n < classes_.count; ++n) {
      for_each_line(classes_.of[n].digits, [&](const Digits& first, int64_t count) {
        const auto place = static_cast<int32_t>(places.dot(first));
        const auto hop = static_cast<int32_t>(places.w[kLast]),
                   length = static_cast<int32_t>(count);
        int32_t* slots = slots_ + numbers.dot(first);
        for (int32_t i = 0; i < length; ++i) {
          columns_[slot + i] = place + i * hop;
          slots[i] = slot + i;
        }
        slot += length;
      });
    }
  }

  void list_strips() {
    const WindowTiles tiles(cols_);
    int64_t column = 0;
    for (int64_t tile = 0; tile < tiles.count; ++tile) {
      for (int64_t j = 0; j < tiles.columns(tile); ++j, ++column) {
        columns_[column] = static_cast<int32_t>(tile * layout_.strip + j);
        slots_[column] = static_cast<int32_t>(column);
      }
    }
  }

  /// What the box meets in terms first, first + 1, ...
  void fill_window(int64_t first) {
    const Digits& radix = task_.problem.terms;
    const int64_t channel = first / geometry_.taps;
    const int64_t channels = radix.decode(first + count_ - 1).d[0] - channel + 1;
    const WindowFiller<T, S> filler{task_, geometry_, layout_, box_, sources_, window_};
    filler.fill(group_, channel, channels, first == 0);
  }

  /// Places of the chunk's terms, for each class those that it meets; the first one's taps are
  /// number `tap`. Chunks of whole channels have the same lists.
  void list_terms(int64_t tap) {
    if (listed_ == count_ && listed_tap_ == tap) return;
    listed_ = count_;
    listed_tap_ = tap;
    const Digits& radix = task_.problem.terms;
    int64_t hop[kAxes], start = 0;
    for (int a = 0; a < kAxes; ++a) {
      const WindowAxis& axis = geometry_.axis[a];
      hop[a] = axis.by_term * layout_.axis[a];
      if (axis.by_term < 0) start += axis.reach * layout_.axis[a];
    }
    for (int n = 0; n < classes_.count; ++n) {
      const TapRange(&taps)[kAxes] = classes_.of[n].taps;
      WindowTerm* terms = terms_of(n);
      int64_t listed = 0;
      for (int64_t c = 0, channel = -tap; channel < count_; ++c, channel += geometry_.taps) {
        for (int64_t i = taps[0].from; i < taps[0].to; ++i) {
          for (int64_t j = taps[1].from; j < taps[1].to; ++j) {
            const int64_t row = channel + (i * radix.d[2] + j) * radix.d[3];
            const int64_t place = start + c * layout_.channel + i * hop[0] + j * hop[1];
            for (int64_t k = taps[2].from; k < taps[2].to; ++k) {
              if (row + k < 0 || row + k >= count_) continue;
              terms[listed].right = static_cast<int32_t>(place + k * hop[2]);
              terms[listed++].left = static_cast<int32_t>((row + k) * kPanel<T>);
            }
          }
        }
      }
      listed_terms_[n] = listed;
    }
  }

  /// The chunk's steps, for each class of as many terms as it meets.
  void list_steps(int64_t steps) {
    for (int n = 0; n < classes_.count; ++n) {
      const WindowTerm *term = terms_of(n), *last = term + listed_terms_[n];
      Step* step = steps_of(n);
      int64_t end = 0;
      for (int64_t i = 0; i < steps; ++i) {
        end += steps_[i].count * kPanel<T>;
        const WindowTerm* from = term;
        while (term != last && term->left < end) ++term;
        step[i] = steps_[i];
        step[i].count = static_cast<int32_t>(term - from);
      }
    }
  }
  WindowTerm* terms_of(int n) const { return terms_ + n * task_.chunk; }
  Step* steps_of(int n) const { return class_steps_ + n * task_.chunk; }

  /// Whether the chunk's left operands of a panel are neither infinite nor NaN.
  bool all_finite(const T* left) const {
    V<T> zeros{}, other{};
    for (int64_t i = 0; i < count_ * kPanel<T>; i += kPanel<T>) {
      zeros = fma<T>(load<T>(left + i), V<T>{}, zeros);
      other = fma<T>(load<T>(left + i + kLanes<T>), V<T>{}, other);
    }
    zeros = zeros + other;
    const I<T> equal = zeros == zeros;
    bool all = true;
    for (int l = 0; l < kLanes<T>; ++l) all = all && equal[l] != 0;
    return all;
  }

  /// Whether a sum of a panel is a zero of a sign that terms left out may have changed.
  bool doubtful(int64_t panel) const {
    const V<T> zero{}, doubt = task_.arithmetic.rounding == Rounding::Downward ? zero : -zero;
    const int64_t first = (first_panel_ + panel) * kPanel<T>;
    const int64_t count = at_most(kPanel<T>, task_.rows - first);
    I<T> found{};
    for (int n = 0; n < classes_.count; ++n) {
      const WindowClass& one = classes_.of[n];
      if (!one.skips) continue;
      for (int64_t r = 0; r < count; r += kLanes<T>) {
        I<T> mine{};
        const auto rows = vector_of<I<T>, [](int l) { return l; }>();
        const T* sum = stack_of(panel) + one.first * kPanel<T> + r;
        for (int64_t c = 0; c < one.columns; ++c) {
          mine |= reinterpret<I<T>>(load<T>(sum + c * kPanel<T>)) == reinterpret<I<T>>(doubt);
        }
        found |= mine & (rows < static_cast<typename Lanes<T>::Index>(count - r));
      }
    }
    bool any = false;
    for (int l = 0; l < kLanes<T>; ++l) any = any || found[l] != 0;
    return any;
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
    a.level = cols_ * kPanel<T>;
    a.step_count = steps;
    int64_t all = 0;
    for (int n = 0; n < classes_.count; ++n) all += classes_.of[n].tiles.count();
    const auto run_tiles = [&](auto&& ahead) {
      for (int n = 0; n < classes_.count; ++n) {
        const WindowClass& one = classes_.of[n];
        const ClassTiles& tiles = one.tiles;
        const auto micro = [&](int64_t columns) {
          return find_window_micro<T>(static_cast<int>(columns), tiles.hop);
        };
        const WindowMicro<T> larger = micro(tiles.line.columns(0)),
                             smaller = micro(tiles.line.base);
        a.term = terms_of(n);
        a.steps = steps_of(n);
        int64_t column = one.first;
        for (int64_t i = 0; i < tiles.count(); ++i) {
          const int64_t of_line = i % tiles.line.count;
          ahead(column);
          a.column = columns_ + column;
          a.stack = stack_of(panel) + column * kPanel<T>;
          (of_line < tiles.line.extra ? larger : smaller)(a);
          column += tiles.line.columns(of_line);
        }
      }
    };
    const auto run_to_output = [&](auto&& ahead) {
      if (!wanted.outputs) {
        run_tiles([&](int64_t) { ahead(); });
        return;
      }
      constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(S));
      const PanelRows rows = rows_of(panel);
      int64_t asked = 0;
      run_tiles([&](int64_t column) {
        ahead();
        for (; asked <= column; asked += kLine) {
          for (int64_t r = 0; r < rows.count; ++r) {
            __builtin_prefetch(out_ + rows.row[r] + outputs_[asked], 1, 2);
          }
        }
      });
    };
    if (wanted.left) {
      Ahead ahead(*this, panel + 1, all);
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
    S* const data = out_;
    T* stack = stack_of(panel);
    const auto [first, count, row] = rows_of(panel);
    if (task_.bias != nullptr) add_bias(stack, first, count);
    const bool neighbours =
        count > 1 && row[1] - row[0] == 1 && row[count - 1] - row[0] == count - 1;
    if (neighbours) {
      for (int64_t c = 0; c < cols_; ++c) {
        if constexpr (__is_same(T, S)) {
          if (count == kPanel<T>) {
            std::memcpy(data + outputs_[c] + row[0], stack + slots_[c] * kPanel<T>,
                        kPanel<T> * sizeof(T));
            continue;
          }
        }
        put(stack + slots_[c] * kPanel<T>, count, data + outputs_[c], row, true);
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
          v[l] = l < n ? load<T>(stack + slots_[c + l] * kPanel<T> + r) : V<T>{};
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
    T* data = out_ + outputs_[first];
    for (int64_t i = 0; i < n; i += kW) {
      const int64_t c = at_most(i, n - kW);
      for (int64_t r = 0; r < count; r += kW) {
        V<T> v[kW];
#pragma GCC unroll 16
        for (int64_t l = 0; l < kW; ++l)
          v[l] = load<T>(stack + slots_[first + c + l] * kPanel<T> + r);
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
  T* stack_;  ///< [panel, or none of them][level][slot][kPanel]
  WindowClasses classes_;
  int64_t listed_terms_[kWindowClasses];
  int32_t* columns_;  ///< places in the window, slot by slot
  int32_t* slots_;    ///< of the columns: a class has neighbouring ones
  int64_t* sources_;  ///< of the columns in the operand, where the window has strips
  int64_t* outputs_;  ///< and in the output, from out_ on
  S* out_ = nullptr;  ///< where the box's first column lies
  Box listed_box_{{{0, 0, 0, 0}}, {{0, 0, 0, 0}}};
  bool listed_skips_ = false;
  WindowTerm* terms_;  ///< [class][term]
  PlaceList rows_, row_terms_;
  Step *steps_, *class_steps_;
  char* work_;
  bool keeps_left_;
  bool skips_;                            ///< boxes may leave out terms
  int64_t packed_ = -1;                   ///< block whose left operands are kept
  int64_t listed_ = -1, listed_tap_ = 0;  ///< the terms that are listed
  int64_t count_ = 0;                     ///< terms of the chunk
  int64_t group_ = 0, first_panel_ = 0, panels_ = 0, cols_ = 0;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
