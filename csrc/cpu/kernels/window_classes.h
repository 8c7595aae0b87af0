// SPDX-License-Identifier: MIT
// Columns of a box by the taps that they meet inside the right operand. The others meet +0 there
// (zero padding), and a sum that leaves them out has the definition's bits but for the sign of a
// zero, where the left operands are finite:
//
//   A sum and the same sum without terms +-0 are equal, or zeros of two signs, at every step. Both
//   begin at +0. What is left out, round(sum + (+-0)), changes zeros alone. What is not finds equal
//   sums, or two zeros: its own term is the same, so that the results are equal again unless it is
//   +-0 as well, and then they are zeros. So do folds and the bias.
//
//   Rounded downward, +0 + -0 is -0, and a zero once negative stays so: only a +0 may be wrong.
//   Otherwise +0 + -0 is +0: only a -0 (a term that underflowed) may be.
#pragma once

#include "micro.h"
#include "window_box.h"
#include "window_micro.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int kWindowClasses = 16;
inline constexpr int kTapRuns = 5;  ///< along an axis
/// What micro-tiles cost, in columns: fewer than so many wait for each other's sums; each; and how
/// much more where columns do not lie on lines although that would do.
inline constexpr double kLeastColumns = kMaxRows >= 14 ? 2 : 4, kTileColumns = 0.5,
                        kScattered = kMaxRows >= 14 ? 1.06 : 1.0;
inline constexpr int64_t kShortLineColumns = 6;

/// Digits [from, to) of a term.
struct TapRange {
  int64_t from, to;
  friend bool operator==(const TapRange&, const TapRange&) = default;
};

/// Neighbouring digits of a box's columns along one axis that meet the same taps.
struct TapRun {
  int64_t first, size;
  TapRange taps;
};

struct AxisTaps {
  TapRun run[kTapRuns];
  int count = 0;

  AxisTaps(const Operand& right, int axis, int64_t first, int64_t size, int64_t taps) {
    const int64_t step = right.outer.step[axis], origin = right.origin.x[axis] + step * first;
    for (int64_t d = 0; d < size; ++d) {
      const TapRange inside =
          taps_inside(origin + step * d, right.term.step[axis], right.extent[axis], taps);
      if (count > 0 && inside == run[count - 1].taps) {
        ++run[count - 1].size;
      } else if (count < kTapRuns) {
        run[count++] = {d, 1, inside};
      } else {
        run[0] = {0, size, {0, taps}};
        count = 1;
        return;
      }
    }
  }

 private:
  /// Taps t of `taps` whose coordinate x + t * step lies in [0, extent).
  static TapRange taps_inside(int64_t x, int64_t step, int64_t extent, int64_t taps) {
    const int64_t last = x + step * (taps - 1);
    if (x >= 0 && x < extent && last >= 0 && last < extent) return {0, taps};
    int64_t from = 0, to = 0;
    if (step > 0) {
      from = x < 0 ? ceil_div(-x, step) : 0;
      to = x < extent ? ceil_div(extent - x, step) : 0;
    } else if (step < 0) {
      from = x >= extent ? (x - extent) / -step + 1 : 0;
      to = x >= 0 ? x / -step + 1 : 0;
    }
    to = at_most(to, taps);
    return from < to ? TapRange{from, to} : TapRange{0, 0};
  }
};

/// How the columns of a class are cut into micro-tiles: line by line, or all at once.
struct ClassTiles {
  int64_t lines;
  WindowTiles line;
  int hop;  ///< of neighbours in the window, 0: some are further apart

  int64_t count() const { return lines * line.count; }
  double cost() const {
    const auto tiles = static_cast<double>(line.count), n = static_cast<double>(line.all);
    const double least = kLeastColumns * tiles;
    return static_cast<double>(lines) * (hop == 0 ? kScattered : 1.0) *
           ((n < least ? least : n) + kTileColumns * tiles);
  }
};

/// The same for all classes of a box.
struct WindowLines {
  int hop;   ///< that micro-tiles know, or 0
  bool all;  ///< one line has all columns

  WindowLines(const WindowGeometry& g, const WindowLayout& layout) : hop(0), all(g.strips) {
    const int64_t found = all ? 1 : g.axis[2].by_column * layout.axis[2];
    if (window_has_lines(found)) hop = static_cast<int>(found);
  }
  ClassTiles tiles(int64_t columns, int64_t line) const {
    const bool cut = hop != 0 && !all && line >= kShortLineColumns;
    return {cut ? columns / line : 1, WindowTiles(cut ? line : columns), cut || all ? hop : 0};
  }
};

/// Columns of one class: digits of a box.
struct WindowClass {
  Box digits;
  TapRange taps[kAxes];
  int64_t first, columns;  ///< class after class
  bool skips;              ///< leaves out taps
  ClassTiles tiles{1, WindowTiles(0), 0};
};

class WindowClasses {
 public:
  int count = 0;
  WindowClass of[kWindowClasses];

  /// One class of all taps unless `skips`.
  void set(const Contraction& c, const Box& box, const WindowLines& lines, bool skips) {
    const Digits &size = box.size, &terms = c.terms;
    if (!skips) {
      list(nullptr, 0, c, size, lines);
      return;
    }
    const auto axis = [&](int a) {
      return AxisTaps(c.right, a, box.first.d[a + 1], size.d[a + 1], terms.d[a + 1]);
    };
    AxisTaps all[kAxes] = {axis(0), axis(1), axis(2)};
    int best = 0;
    double least = cost(all, 0, c, size, lines);
    for (int cut = 1; cut < 1 << kAxes; ++cut) {
      bool useful = true;
      int classes = 1;
      for (int a = 0; a < kAxes; ++a) {
        if ((cut >> a & 1) == 0) continue;
        useful = useful && (all[a].count > 1 || all[a].run[0].taps != TapRange{0, terms.d[a + 1]});
        classes *= all[a].count;
      }
      if (!useful || classes > kWindowClasses) continue;
      const double found = cost(all, cut, c, size, lines);
      if (found >= least) continue;
      least = found;
      best = cut;
    }
    list(all, best, c, size, lines);
  }

 private:
  /// Run i of an axis that is cut, or all of the axis.
  static TapRun run_of(const AxisTaps* all, int cut, const Contraction& c, const Digits& size,
                       int a, int i) {
    return (cut >> a & 1) != 0 ? all[a].run[i] : TapRun{0, size.d[a + 1], {0, c.terms.d[a + 1]}};
  }
  template <class F>
  static void for_each(const AxisTaps* all, int cut, const Contraction& c, const Digits& size,
                       F&& f) {
    int n[kAxes];
    for (int a = 0; a < kAxes; ++a) n[a] = (cut >> a & 1) != 0 ? all[a].count : 1;
    for (int i = 0; i < n[0]; ++i) {
      for (int j = 0; j < n[1]; ++j) {
        for (int k = 0; k < n[2]; ++k) {
          const TapRun runs[kAxes] = {run_of(all, cut, c, size, 0, i),
                                      run_of(all, cut, c, size, 1, j),
                                      run_of(all, cut, c, size, 2, k)};
          f(runs);
        }
      }
    }
  }

  /// Of a channel of terms: columns times taps, and what micro-tiles cost besides.
  static double cost(const AxisTaps* all, int cut, const Contraction& c, const Digits& size,
                     const WindowLines& lines) {
    double sum = 0;
    for_each(all, cut, c, size, [&](const TapRun* runs) {
      int64_t columns = size.d[0], taps = 1;
      for (int a = 0; a < kAxes; ++a) {
        columns *= runs[a].size;
        taps *= runs[a].taps.to - runs[a].taps.from;
      }
      sum += static_cast<double>(taps) * lines.tiles(columns, runs[2].size).cost();
    });
    return sum;
  }

  void list(const AxisTaps* all, int cut, const Contraction& c, const Digits& size,
            const WindowLines& lines) {
    count = 0;
    int64_t first = 0;
    for_each(all, cut, c, size, [&](const TapRun* runs) {
      WindowClass& one = of[count++];
      one.digits = {Digits{{0, 0, 0, 0}}, size};
      one.skips = false;
      for (int a = 0; a < kAxes; ++a) {
        one.digits.first.d[a + 1] = runs[a].first;
        one.digits.size.d[a + 1] = runs[a].size;
        one.taps[a] = runs[a].taps;
        one.skips = one.skips || runs[a].taps != TapRange{0, c.terms.d[a + 1]};
      }
      one.first = first;
      one.columns = one.digits.size.product();
      one.tiles = lines.tiles(one.columns, runs[2].size);
      first += one.columns;
    });
  }
};

/// Most classes that the boxes of a problem can have.
inline int64_t window_classes(const Contraction& c) {
  const UnsafeAxes unsafe(c.right, c.cols, c.terms);
  return unsafe.axis[0] || unsafe.axis[1] || unsafe.axis[2] ? kWindowClasses : 1;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
