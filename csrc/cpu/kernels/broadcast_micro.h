// SPDX-License-Identifier: MIT
// The inner loop of the broadcast method: Columns x (Vectors of rows) outputs in registers. The
// left operand is packed with rows as lanes; the right one is a scalar, read where its column and
// its term meet in a slab (slab.h): columns and terms are offsets that add up.
#pragma once

#include "step.h"
#include "vec.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Vectors of rows in a full panel.
inline constexpr int kRowVectors = kMaxRows >= 14 ? 4 : 2;

/// Most columns of a tile: as many accumulators as registers hold.
constexpr int most_columns(int vectors) {
  return vectors == 4 ? 6 : vectors == 2 && kMaxRows < 14 ? 6 : 10;
}

template <class T>
struct BroadcastArguments {
  const T* left;  ///< [term][Vectors * kLanes]
  const T* slab;
  const int32_t* columns;  ///< offsets of the tile's columns
  const int32_t* terms;    ///< offsets of the terms
  T* stack;                ///< [level][column][Vectors * kLanes]
  const Step* steps;
  int64_t step_count;
};

template <class T>
using BroadcastMicro = void (*)(const BroadcastArguments<T>&);

template <class T, int Columns, int Vectors, bool Fused>
__attribute__((noinline)) void broadcast_micro(const BroadcastArguments<T>& a) {
  constexpr int kW = kLanes<T>;
  const T* left = a.left;
  const int32_t* term = a.terms;
  const T* column[Columns];
#pragma GCC unroll 16
  for (int c = 0; c < Columns; ++c) column[c] = a.slab + a.columns[c];

  for (const Step *step = a.steps, *end = step + a.step_count; step != end; ++step) {
    V<T> acc[Columns][Vectors];
    const auto place = [&](int level, int c, int v) {
      return a.stack + ((level * Columns + c) * Vectors + v) * kW;
    };
    if (step->begins) {
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) {
#pragma GCC unroll 16
        for (int v = 0; v < Vectors; ++v) acc[c][v] = V<T>{};
      }
    } else {
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) {
#pragma GCC unroll 16
        for (int v = 0; v < Vectors; ++v) acc[c][v] = load<T>(place(step->level, c, v));
      }
    }
    for (const int32_t* last = term + step->count; term != last; ++term) {
      V<T> row[Vectors];
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) row[v] = in_register<T>(load<T>(left + v * kW));
      const int64_t offset = *term;
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) {
        const V<T> x = broadcast<T>(column[c][offset]);
#pragma GCC unroll 16
        for (int v = 0; v < Vectors; ++v) {
          if constexpr (Fused) {
            acc[c][v] = fma<T>(x, row[v], acc[c][v]);
          } else {
            acc[c][v] = acc[c][v] + x * row[v];
          }
        }
      }
      left += Vectors * kW;
    }
    int level = step->level;
    for (int f = 0; f < step->folds; ++f) {
      --level;
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) {
#pragma GCC unroll 16
        for (int v = 0; v < Vectors; ++v) {
          acc[c][v] = load<T>(place(level, c, v)) + acc[c][v];
        }
      }
    }
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) {
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) store<T>(place(level, c, v), acc[c][v]);
    }
  }
}

template <class T, bool Fused, int Vectors, int Columns = most_columns(Vectors)>
BroadcastMicro<T> find_broadcast_columns(int columns) {
  if constexpr (Columns > 1) {
    if (columns != Columns) return find_broadcast_columns<T, Fused, Vectors, Columns - 1>(columns);
  }
  return broadcast_micro<T, Columns, Vectors, Fused>;
}

/// broadcast_micro<T, columns, vectors, fused>; vectors is a power of two up to kRowVectors.
template <class T, bool Fused, int Vectors = kRowVectors>
BroadcastMicro<T> find_broadcast(int columns, int vectors) {
  if constexpr (Vectors > 1) {
    if (vectors != Vectors) return find_broadcast<T, Fused, Vectors / 2>(columns, vectors);
  }
  return find_broadcast_columns<T, Fused, Vectors>(columns);
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
