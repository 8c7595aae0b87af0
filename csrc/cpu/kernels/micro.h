// SPDX-License-Identifier: MIT
// The inner loop: Rows x (Panels * 2 vectors) outputs in registers, over the packed terms of one
// chunk. Per term and output exactly the definition's operations, in its order:
//
//   fused    acc = round(acc + left * right)
//   unfused  acc = round(acc + round(left * right))
//
// A chunk is a list of steps: pieces of runs. A run's sum grows at its level of the stack of
// partials (memory between steps, registers inside one); when it is complete, partials on top of
// the stack are combined as the order says.
#pragma once

#include <cstdint>

#include "step.h"
#include "vec.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class T>
inline constexpr int kPanel = 2 * kLanes<T>;  ///< columns of a panel

template <class T>
struct MicroArguments {
  const T* left;        ///< [term][rows]
  int64_t rows;         ///< of the micro-tile
  const T* right;       ///< [panel][term][kPanel]
  int64_t right_panel;  ///< elements from panel to panel
  T* stack;             ///< [panel][level][rows][kPanel]
  int64_t stack_panel;
  const Step* steps;
  int64_t step_count;
};

template <class T>
using Micro = void (*)(const MicroArguments<T>&);

template <class T, int Rows, int Panels, bool Fused>
__attribute__((noinline)) void micro(const MicroArguments<T>& a) {
  constexpr int kVectors = 2 * Panels, kW = kLanes<T>;
  const T* left = a.left;
  const T* right[Panels];
  for (int p = 0; p < Panels; ++p) right[p] = a.right + p * a.right_panel;

  for (const Step *step = a.steps, *end = step + a.step_count; step != end; ++step) {
    V<T> acc[Rows][kVectors];
    const auto place = [&](int level, int r, int v) {
      return a.stack + (v / 2) * a.stack_panel + (level * Rows + r) * kPanel<T> + (v % 2) * kW;
    };
    if (step->begins) {
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) acc[r][v] = V<T>{};
      }
    } else {
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) acc[r][v] = load<T>(place(step->level, r, v));
      }
    }
    for (int32_t i = 0; i < step->count; ++i) {
      V<T> b[kVectors];
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) b[v] = load<T>(right[v / 2] + (v % 2) * kW);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const V<T> x = broadcast<T>(left[r]);
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) {
          if constexpr (Fused) {
            acc[r][v] = fma<T>(x, b[v], acc[r][v]);
          } else {
            acc[r][v] = acc[r][v] + x * b[v];
          }
        }
      }
      left += Rows;
      for (int p = 0; p < Panels; ++p) right[p] += kPanel<T>;
    }
    int level = step->level;
    for (int f = 0; f < step->folds; ++f) {
      --level;
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) acc[r][v] = load<T>(place(level, r, v)) + acc[r][v];
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) store<T>(place(level, r, v), acc[r][v]);
    }
  }
}

/// Panels that a micro-tile of so many rows takes at once: enough accumulators to hide latency.
constexpr int panels_at_once(int rows) {
  return kMaxRows >= 14 ? (rows <= 3 ? 4 : rows <= 6 ? 2 : 1) : (rows <= kMaxRows / 2 ? 2 : 1);
}

/// micro<T, rows, panels, fused>; panels is 1 or panels_at_once(rows) or a power of two between.
template <class T, bool Fused, int Rows = kMaxRows>
Micro<T> find_micro(int rows, int panels) {
  if (rows != Rows) {
    if constexpr (Rows > 1) return find_micro<T, Fused, Rows - 1>(rows, panels);
  }
  if constexpr (panels_at_once(Rows) >= 4) {
    if (panels == 4) return micro<T, Rows, 4, Fused>;
  }
  if constexpr (panels_at_once(Rows) >= 2) {
    if (panels == 2) return micro<T, Rows, 2, Fused>;
  }
  return micro<T, Rows, 1, Fused>;
}

/// How the tiled runner multiplies (tiled_runner.h).
template <class T>
struct TiledMultiply {
  static constexpr int64_t panels_at_once(int rows) { return kernels::panels_at_once(rows); }
  static int64_t prepare(Step*, int64_t count) { return count; }
  template <bool Fused>
  static Micro<T> find(int rows, int64_t panels) {
    return find_micro<T, Fused>(rows, static_cast<int>(panels));
  }
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
