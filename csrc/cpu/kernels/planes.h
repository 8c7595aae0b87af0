// SPDX-License-Identifier: MIT
// Planes: a box of outputs' part of the right operand, copied to scratch with the zeros that lie
// around it, and taken apart by the outputs' stride (its phases). There, every tap of every output
// is the same distance away,
//
//   right(output, term) = planes[position(output) + offset(term)]
//
// without a mask and, along the last axis, without a gap: vectors of outputs are plain loads.
#pragma once

#include "lanes.h"
#include "plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int64_t kMostPhases = 4;     // largest stride that is taken apart
inline constexpr int64_t kPlaneAhead = 2048;  // elements asked for before they are copied

/// Contractions that read one right operand at the same outputs' steps: the parts of one pass.
struct Parts {
  const Contraction* begin;
  int64_t count;

  explicit Parts(const Task& task)
      : begin(task.part_count > 1 ? task.parts : &task.problem), count(task.part_count) {}
  const Contraction& operator[](int64_t i) const { return begin[i]; }
};

/// One axis of the planes, for boxes of a given number of outputs.
struct PlaneAxis {
  int64_t step = 1;    ///< coordinates from output to output
  int64_t low = 0;     ///< coordinate of the lowest tap of output 0
  int64_t memory = 0;  ///< elements from coordinate to coordinate
  int64_t phases = 0;  ///< those that some tap meets
  int64_t phase[kMostPhases] = {};
  int64_t slot[kMostPhases] = {};  ///< of each phase, among those that are met
  int64_t reach = 0;               ///< positions of the farthest tap from an output's own
  int64_t length = 0;              ///< positions of one phase: reach + outputs of a box

  PlaneAxis() = default;
  PlaneAxis(const Parts& parts, int axis) {
    const Operand& operand = parts[0].right;
    step = operand.outer.step[axis];
    memory = operand.outer.offset.w[axis + 1] / step;
    bool any = false;
    for_each_tap(parts, axis, [&](int64_t x) {
      low = any ? at_most(low, x) : x;
      any = true;
    });
    bool met[kMostPhases] = {};
    for_each_tap(parts, axis, [&](int64_t x) {
      met[(x - low) % step] = true;
      reach = at_least(reach, (x - low) / step);
    });
    for (int64_t p = 0; p < step; ++p) {
      slot[p] = phases;
      if (met[p]) phase[phases++] = p;
    }
  }

 private:
  /// Calls f(coordinate of a tap of output 0).
  template <class F>
  static void for_each_tap(const Parts& parts, int axis, F&& f) {
    for (int64_t i = 0; i < parts.count; ++i) {
      const Operand& operand = parts[i].right;
      for (int64_t t = 0; t < parts[i].terms.d[axis + 1]; ++t) {
        f(operand.origin.x[axis] + t * operand.term.step[axis]);
      }
    }
  }
};

/// Outputs of a box along the three spatial axes.
struct Box {
  int64_t x[kAxes] = {1, 1, 1};
};

/// Whether the operand's outer and term digits walk the same grid, and its strides are small.
inline bool has_planes(const Contraction& c) {
  for (int i = 0; i < kAxes; ++i) {
    const int64_t step = c.right.outer.step[i];
    if (step < 1 || step > kMostPhases) return false;
    const int64_t along = c.right.outer.offset.w[i + 1];
    if (along % step != 0) return false;
    if (c.right.term.offset.w[i + 1] != c.right.term.step[i] * (along / step)) return false;
  }
  return true;
}

/// Whether no element of the left operand can lie outside it.
inline bool left_is_whole(const Operand& left) {
  for (int i = 0; i < kAxes; ++i) {
    if (left.outer.step[i] != 0 || left.term.step[i] != 0) return false;
  }
  return true;
}

/// The layout: [channel][phases of the three axes][position], a channel being a term's digit 0.
template <class T>
struct PlaneLayout {
  PlaneAxis axis[kAxes];
  int64_t channels, phase_size = 1, channel_size = 1;

  PlaneLayout(const Parts& parts, const Box& box) : channels(parts[0].terms.d[0]) {
    for (int i = 0; i < kAxes; ++i) {
      axis[i] = PlaneAxis(parts, i);
      axis[i].length = axis[i].reach + box.x[i];
      phase_size *= axis[i].length;
      channel_size *= axis[i].phases;
    }
    phase_size += kLanes<T>;  // the last vector of a phase may end beyond it
    channel_size *= phase_size;
  }

  int64_t size() const { return channels * channel_size; }

  /// Of a term of one of the parts.
  int64_t offset(const Operand& right, const Digits& term) const {
    int64_t phase = 0, position = 0;
    for (int i = 0; i < kAxes; ++i) {
      const int64_t u = right.origin.x[i] + right.term.step[i] * term.d[i + 1] - axis[i].low;
      phase = phase * axis[i].phases + axis[i].slot[u % axis[i].step];
      position = position * axis[i].length + u / axis[i].step;
    }
    return term.d[0] * channel_size + phase * phase_size + position;
  }

  int64_t position(int64_t x0, int64_t x1, int64_t x2) const {
    return (x0 * axis[1].length + x1) * axis[2].length + x2;
  }
};

/// Copies boxes, of `samples` samples side by side. The zeros around them are written once: those
/// left and right of the rows for all boxes that begin at the same column, the others too where
/// there is `one_box` for all columns of a sample and group.
template <class T, class S>
class PlaneCopier {
 public:
  PlaneCopier(const Contraction& c, const PlaneLayout<T>& layout, T* planes, int64_t samples,
              bool one_box)
      : c_(c), layout_(layout), planes_(planes), samples_(samples), one_box_(one_box) {}

  /// `data`: the operand of the box's group and sample, at coordinates 0. `first` is the number of
  /// its first output along each axis, `size` at most the layout's, `sample` its number here.
  void copy(const S* data, const Box& first, const Box& size, int64_t sample) {
    const PlaneAxis &a0 = layout_.axis[0], &a1 = layout_.axis[1], &a2 = layout_.axis[2];
    const Operand& operand = c_.right;
    if (first.x[2] != column_) begin_column(first.x[2]);
    const int64_t low0 = a0.low + first.x[0] * a0.step, low1 = a1.low + first.x[1] * a1.step;
    T* plane = planes_ + sample * layout_.size();
    for (int64_t channel = 0; channel < layout_.channels; ++channel) {
      const S* from = data + channel * operand.term.offset.w[0];
      for (int64_t p0 = 0; p0 < a0.phases; ++p0) {
        for (int64_t p1 = 0; p1 < a1.phases; ++p1) {
          const int64_t x1 = low1 + a1.phase[p1], rows = a1.reach + size.x[1];
          const int64_t begin = at_most(x1 < 0 ? ceil_div(-x1, a1.step) : 0, rows);
          const int64_t left = operand.extent[1] - x1;
          const int64_t end =
              at_least(at_most(left > 0 ? ceil_div(left, a1.step) : 0, rows), begin);
          for (int64_t i0 = 0; i0 < a0.reach + size.x[0]; ++i0) {
            const int64_t x0 = low0 + a0.phase[p0] + i0 * a0.step;
            T* row = plane + i0 * a1.length * a2.length;
            if (x0 < 0 || x0 >= operand.extent[0]) {
              clear_rows(row, 0, rows);
              continue;
            }
            clear_rows(row, 0, begin);
            copy_rows(from + x0 * a0.memory, row, x1, begin, end);
            clear_rows(row, end, rows);
          }
          plane += a2.phases * layout_.phase_size;
        }
      }
    }
  }

 private:
  /// Positions [begin, end) of a phase's rows lie inside the operand.
  struct Inside {
    int64_t begin, end, x;  ///< x: coordinate at begin
  };

  void begin_column(int64_t column) {
    column_ = column;
    const PlaneAxis& a = layout_.axis[2];
    for (int64_t p = 0; p < a.phases; ++p) {
      const int64_t low = a.low + column * a.step + a.phase[p];
      const int64_t begin = low < 0 ? (a.step - 1 - low) / a.step : 0;
      const int64_t left = c_.right.extent[2] - low;
      const int64_t end = at_least(at_most(left > 0 ? ceil_div(left, a.step) : 0, a.length), begin);
      inside_[p] = {at_most(begin, a.length), at_most(end, a.length), low + begin * a.step};
    }
    short_pair_ = a.phases == 2 && a.step * a.memory == 2 &&
                  layout_.axis[1].memory + c_.right.extent[2] >= 2 * kLanes<T>;
    for (int64_t p = 0; short_pair_ && p < 2; ++p) {
      const int64_t n = inside_[p].end - inside_[p].begin;
      short_pair_ = n > 0 && n <= kLanes<T> && inside_[p].x >= 0 && inside_[p].x < 2;
    }
    for (int64_t i = 0; i < samples_ * layout_.size(); ++i) planes_[i] = T{0};
  }

  /// The next channel's row, or what comes a few rows later, other boxes' first rows too, is on its
  /// way while this one is copied and its sums are formed.
  void ask_for(const S* row) const {
    constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(S));
    const PlaneAxis& a = layout_.axis[2];
    const int64_t n = a.memory == 1 ? at_most(c_.right.extent[2], a.length * a.step) : 0;
    const int64_t ahead = layout_.channels > 1 ? c_.right.term.offset.w[0] : kPlaneAhead;
    for (int64_t i = 0; i < n; i += kLine) __builtin_prefetch(row + ahead + i, 0, 2);
  }

  /// Rows [begin, end) of a plane, whose row 0 is at x1.
  void copy_rows(const S* plane, T* row, int64_t x1, int64_t begin, int64_t end) {
    const PlaneAxis &a1 = layout_.axis[1], &a2 = layout_.axis[2];
    const int64_t n = inside_[0].end - inside_[0].begin, extent = c_.right.extent[1];
    const S* from = plane + (x1 + begin * a1.step) * a1.memory;
    row += begin * a2.length;
    if (a2.phases == 1 && a2.step * a2.memory == 1) {  // the stride known beforehand
      const S* source = from + inside_[0].x * a2.memory;
      T* to = row + inside_[0].begin;
      for (int64_t i = begin; i < end; ++i, to += a2.length, source += a1.step * a1.memory) {
        ask_for(source);
        copy_part(source, 1, n, to, x1 + i * a1.step + 1 < extent);
      }
      return;
    }
    int64_t i = begin;
    if constexpr (__is_same(T, S)) {
      if (short_pair_) {
        const int64_t followed = at_most(end, ceil_div(extent - 1 - x1, a1.step));
        if (followed > i) {
          copy_short_pairs(from, row, followed - i);
          from += (followed - i) * a1.step * a1.memory;
          row += (followed - i) * a2.length;
          i = followed;
        }
      }
    }
    for (; i < end; ++i, row += a2.length, from += a1.step * a1.memory) {
      ask_for(from);
      copy_row(from, row, x1 + i * a1.step + 1 < extent);
    }
  }

  /// Elements of a row that lie inside; `followed`: another row of the operand comes after it.
  FPDET_INLINE void copy_part(const S* from, int64_t stride, int64_t n, T* to,
                              bool followed) const {
    constexpr int kW = kLanes<T>;
    if (n < kW) {
      // What this vector writes beyond the row is a zero where zeros are, or is written later.
      if (n > 0) store<T>(to, short_row(from, stride, n, followed));
      return;
    }
    copy_elements<T>(from, stride, n, to);
  }

  /// The row's phases, `row` being the first one's; `followed` as in copy_part.
  void copy_row(const S* from, T* row, bool followed) {
    const PlaneAxis& a = layout_.axis[2];
    constexpr int kW = kLanes<T>;
    const int64_t stride = a.step * a.memory;
    if constexpr (__is_same(T, S)) {
      if (stride == 2 && a.phases == 2 && inside_[0].end - inside_[0].begin > kW) {
        copy_two_phases(from, row);
        return;
      }
    }
    for (int64_t p = 0; p < a.phases; ++p, row += layout_.phase_size) {
      const int64_t n = inside_[p].end - inside_[p].begin;
      copy_part(from + inside_[p].x * a.memory, stride, n, row + inside_[p].begin, followed);
    }
  }

  /// All bits set in the first n lanes.
  static I<T> are_first(int64_t n) {
    return vector_of<I<T>, [](int l) { return l; }>() < static_cast<typename Lanes<T>::Index>(n);
  }
  /// x where `lanes` are set, +0 elsewhere.
  static V<T> only(V<T> x, I<T> lanes) {
    return reinterpret_cast<V<T>>(reinterpret_cast<I<T>>(x) & lanes);
  }

  FPDET_INLINE V<T> short_row(const S* source, int64_t stride, int64_t n, bool followed) const {
    if constexpr (__is_same(T, S)) {
      if (followed && stride == 1 && layout_.axis[1].memory + n >= kLanes<T>) {
        return only(load<T>(source), are_first(n));
      }
    }
    return some_elements<T, S>(source, stride, n);
  }

  /// Both phases of a stride of two of rows that two vectors hold, begun at their first elements,
  /// each followed by another.
  void copy_short_pairs(const S* from, T* row, int64_t rows) const {
    const PlaneAxis &a1 = layout_.axis[1], &a2 = layout_.axis[2];
    const int even_phase = inside_[0].x == 0 ? 0 : 1, odd_phase = 1 - even_phase;
    const Inside &even_in = inside_[even_phase], &odd_in = inside_[odd_phase];
    T* even = row + even_in.begin + even_phase * layout_.phase_size;
    T* odd = row + odd_in.begin + odd_phase * layout_.phase_size;
    const I<T> evens = are_first(even_in.end - even_in.begin);
    const I<T> odds = are_first(odd_in.end - odd_in.begin);
    for (int64_t i = 0; i < rows; ++i) {
      ask_for(from);
      const Halves<T> halves = take_apart<T>(load<T>(from), load<T>(from + kLanes<T>));
      store<T>(even, only(halves.even, evens));
      store<T>(odd, only(halves.odd, odds));
      even += a2.length;
      odd += a2.length;
      from += a1.step * a1.memory;
    }
  }

  /// Both phases of a stride of two, from one reading.
  void copy_two_phases(const S* from, T* row) const {
    constexpr int kW = kLanes<T>;
    T *even = row, *odd = row + layout_.phase_size;
    const Inside &first = inside_[0], &second = inside_[1];
    const int64_t begin = at_least(first.begin, second.begin);
    const int64_t end = at_most(first.end, second.end);
    if (first.begin < begin) even[first.begin] = from[first.x];
    if (second.begin < begin) odd[second.begin] = from[second.x];
    if (first.end > end) even[end] = from[first.x + 2 * (end - first.begin)];
    if (second.end > end) odd[end] = from[second.x + 2 * (end - second.begin)];
    const S* source = from + first.x + 2 * (begin - first.begin);
    const auto copy = [&](int64_t i) {
      const Halves<T> halves = take_apart<T>(load<T>(source + 2 * i), load<T>(source + 2 * i + kW));
      store<T>(even + begin + i, halves.even);
      store<T>(odd + begin + i, halves.odd);
    };
    const int64_t n = end - begin;
    for (int64_t i = 0; i + kW <= n; i += kW) copy(i);
    if (n % kW != 0) copy(n - kW);
  }

  void clear_rows(T* row, int64_t begin, int64_t end) {
    if (one_box_) return;
    const int64_t length = layout_.axis[2].length;
    for (int64_t p = 0; p < layout_.axis[2].phases; ++p, row += layout_.phase_size) {
      for (int64_t i = begin * length; i < end * length; i += kLanes<T>) store<T>(row + i, V<T>{});
    }
  }

  const Contraction& c_;
  const PlaneLayout<T>& layout_;
  T* planes_;
  int64_t samples_;
  bool one_box_;
  int64_t column_ = -1;
  Inside inside_[kMostPhases] = {};
  bool short_pair_ = false;  ///< copy_short_pairs serves rows that are followed by another
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
