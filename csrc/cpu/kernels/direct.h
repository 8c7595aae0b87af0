// SPDX-License-Identifier: MIT
// Contractions of few rows (grouped convolution, last layers, grad_input of first layers) or of few
// terms (first layers): packed panels would be used too few times to pay. Lanes are outputs along
// the last axis; the right operand lies in planes (planes.h), where a term is one distance for all
// of them.
#pragma once

#include "step.h"
#include "vec.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int kDirectRows = 4;  // most rows at once

inline constexpr int64_t kDirectParts = 8;  // most parts at once

inline constexpr int kDirectSums = 12;  // most vectors of sums at once

/// Vectors of outputs at once: enough to hide an addition's latency, and to use each load of left
/// operands of three or four rows often.
constexpr int direct_vectors(int rows) { return rows == 1 ? 8 : rows == 4 ? 3 : 4; }

/// A vector of outputs of a box.
struct Spot {
  int32_t plane;  ///< position in the planes
  int32_t lanes;  ///< that are outputs, the first ones
  int64_t out;    ///< elements from the first sample's first output
  int64_t inner;  ///< and from its own sample's
};

template <class T>
struct DirectArguments {
  const Step* steps;
  int64_t step_count;
  const int32_t* offsets;  ///< [term]
  const T* left;           ///< [term][row]
  const T* planes;
  const Spot* spots;
  const T* bias;  ///< [row], or null
  T* stack;       ///< [level][row][vector], then the sums where `out` is null
  T* out;         ///< the first sample's first output, or null
  int64_t out_row;
  int64_t out_end;  ///< a sample's outputs below this distance from its first are written later too
};

template <class T>
using Direct = void (*)(const DirectArguments<T>&);

template <class T, int Rows, int Vectors, bool Fused>
__attribute__((noinline)) void direct(const DirectArguments<T>& a) {
  constexpr int kW = kLanes<T>;
  const T* x[Vectors];
#pragma GCC unroll 16
  for (int v = 0; v < Vectors; ++v) x[v] = a.planes + a.spots[v].plane;
  const T* left = a.left;
  const int32_t* offset = a.offsets;
  V<T> acc[Rows][Vectors];
  const auto place = [&](int level, int r, int v) {
    return a.stack + ((level * Rows + r) * Vectors + v) * kW;
  };
  for (const Step *step = a.steps, *end = step + a.step_count;;) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) acc[r][v] = V<T>{};
    }
    for (const int32_t* last = offset + step->count; offset != last; ++offset) {
      const auto add = [&](int r, int v, V<T> w, V<T> b) {
        if constexpr (Fused) {
          acc[r][v] = fma<T>(w, b, acc[r][v]);
        } else {
          acc[r][v] = acc[r][v] + w * b;
        }
      };
      // The fewer operands wait in registers; the others pass one by one.
      if constexpr (Rows < Vectors) {
        V<T> w[Rows];
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) w[r] = broadcast<T>(left[r]);
#pragma GCC unroll 16
        for (int v = 0; v < Vectors; ++v) {
          V<T> b = load<T>(x[v] + *offset);
          if constexpr (Rows > 1) b = in_register<T>(b);
#pragma GCC unroll 16
          for (int r = 0; r < Rows; ++r) add(r, v, w[r], b);
        }
      } else {
        V<T> b[Vectors];
#pragma GCC unroll 16
        for (int v = 0; v < Vectors; ++v) b[v] = in_register<T>(load<T>(x[v] + *offset));
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const V<T> w = broadcast<T>(left[r]);
#pragma GCC unroll 16
          for (int v = 0; v < Vectors; ++v) add(r, v, w, b[v]);
        }
      }
      left += Rows;
    }
    int level = step->level;
    for (int f = 0; f < step->folds; ++f) {
      --level;
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
        for (int v = 0; v < Vectors; ++v) acc[r][v] = load<T>(place(level, r, v)) + acc[r][v];
      }
    }
    if (++step == end) break;
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) store<T>(place(level, r, v), acc[r][v]);
    }
  }
  if (a.bias != nullptr) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const V<T> b = broadcast<T>(a.bias[r]);
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) acc[r][v] = acc[r][v] + b;
    }
  }
  if (a.out == nullptr) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) store<T>(place(0, r, v), acc[r][v]);
    }
    return;
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      const Spot& spot = a.spots[v];
      T* to = a.out + (r * a.out_row + spot.out);
      if (spot.lanes == kW || spot.inner + kW <= a.out_end) {
        store<T>(to, acc[r][v]);
      } else {
        store_first<T>(to, acc[r][v], spot.lanes);
      }
    }
  }
}

/// direct<T, rows, vectors, fused>; vectors is direct_vectors(rows), or half of it for 1 or 2 rows.
template <class T, bool Fused, int Rows = kDirectRows>
Direct<T> find_direct(int rows, int vectors) {
  if (rows != Rows) {
    if constexpr (Rows > 1) return find_direct<T, Fused, Rows - 1>(rows, vectors);
  }
  constexpr int kMost = direct_vectors(Rows);
  if constexpr (Rows <= 2) {
    if (vectors != kMost) return direct<T, Rows, kMost / 2, Fused>;
  }
  return direct<T, Rows, kMost, Fused>;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
