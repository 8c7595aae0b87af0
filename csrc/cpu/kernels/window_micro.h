// SPDX-License-Identifier: MIT
// The inner loop of the window method: lanes are rows, one panel of them, times a few columns. Per
// term one vector of packed left operands meets each column's right operand, broadcast from the
// window. Per output exactly the definition's operations, in its order, as micro.h has them:
// acc = round(acc + left * right), run by run, partials folded as the order says.
#pragma once

#include <cstdint>

#include "micro.h"
#include "step.h"
#include "vec.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Where a term's operands are.
struct WindowTerm {
  int32_t right;  ///< what it adds to the places of the columns
  int32_t left;   ///< elements
};

template <class T>
struct WindowArguments {
  const T* left;           ///< [term][kPanel]
  const T* window;         ///< right operands
  const int32_t* column;   ///< places of the columns in the window
  const WindowTerm* term;  ///< the terms that the columns meet
  T* stack;                ///< [level][column][kPanel]
  int64_t level;           ///< elements from level to level
  const Step* steps;
  int64_t step_count;
};

template <class T>
using WindowMicro = void (*)(const WindowArguments<T>&);

/// Columns that lie Hop apart in the window need one register for their places; Hop 0: anywhere.
template <class T, int Columns, int Hop>
__attribute__((noinline)) void window_micro(const WindowArguments<T>& a) {
  constexpr int kW = kLanes<T>, kVectors = kPanel<T> / kW;
  const WindowTerm* term = a.term;
  const T* column[Columns];
#pragma GCC unroll 16
  for (int c = 0; c < Columns; ++c) column[c] = a.window + a.column[c];

  for (const Step *step = a.steps, *end = step + a.step_count; step != end; ++step) {
    V<T> acc[Columns][kVectors];
    const auto place = [&](int level, int c, int v) {
      return a.stack + level * a.level + c * kPanel<T> + v * kW;
    };
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        acc[c][v] = step->begins ? V<T>{} : load<T>(place(step->level, c, v));
      }
    }
    for (const WindowTerm* last = term + step->count; term != last; ++term) {
      const int64_t t = term->right;
      const T* left = a.left + term->left;
      V<T> b[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) b[v] = load<T>(left + v * kW);
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) {
        const V<T> x = broadcast<T>(Hop == 0 ? column[c][t] : column[0][t + c * Hop]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) acc[c][v] = fma<T>(b[v], x, acc[c][v]);
      }
    }
    int level = step->level;
    for (int f = 0; f < step->folds; ++f) {
      --level;
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) {
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) acc[c][v] = load<T>(place(level, c, v)) + acc[c][v];
      }
    }
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) store<T>(place(level, c, v), acc[c][v]);
    }
  }
}

/// Whether columns on a line of the window, `hop` apart, are better taken together: where their
/// places are more than the registers.
constexpr bool window_has_lines(int64_t hop) { return kMaxRows >= 14 && (hop == 1 || hop == 2); }

/// window_micro<T, columns, hop>.
template <class T, int Columns = kMaxRows>
WindowMicro<T> find_window_micro(int columns, int hop) {
  if constexpr (Columns > 1) {
    if (columns != Columns) return find_window_micro<T, Columns - 1>(columns, hop);
  }
  if constexpr (window_has_lines(1)) {
    if (hop == 1) return window_micro<T, Columns, 1>;
    if (hop == 2) return window_micro<T, Columns, 2>;
  }
  return window_micro<T, Columns, 0>;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
