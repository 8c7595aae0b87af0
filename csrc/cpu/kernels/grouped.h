// SPDX-License-Identifier: MIT
// Contractions of many groups with one row and few columns each (depthwise grad_weight): a vector
// holds the same output of neighbouring groups, so both operands are vectors.
#pragma once

#include "micro.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int kGroupedColumns = 9;           // accumulators at once
inline constexpr int64_t kGroupedMostColumns = 64;  // of a contraction that is done this way

template <class T>
struct GroupedArguments {
  const T* left;   ///< [term][lane]
  const T* right;  ///< at distance offsets[term] + columns[column]: [lane]
  const int32_t* offsets;
  const int32_t* columns;
  T* stack;  ///< [level][column][lane]
  const Step* steps;
  int64_t step_count;
};

template <class T>
using Grouped = void (*)(const GroupedArguments<T>&);

template <class T, int Columns, bool Fused>
__attribute__((noinline)) void grouped(const GroupedArguments<T>& a) {
  constexpr int kW = kLanes<T>;
  const T* right[Columns];
  for (int c = 0; c < Columns; ++c) right[c] = a.right + a.columns[c];
  const T* left = a.left;
  const int32_t* offset = a.offsets;
  for (const Step *step = a.steps, *end = step + a.step_count; step != end; ++step) {
    V<T> acc[Columns];
    const auto place = [&](int level, int c) { return a.stack + (level * Columns + c) * kW; };
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) {
      acc[c] = step->begins ? V<T>{} : load<T>(place(step->level, c));
    }
    for (const int32_t* last = offset + step->count; offset != last; ++offset, left += kW) {
      const V<T> x = load<T>(left);
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) {
        const V<T> y = load<T>(right[c] + *offset);
        if constexpr (Fused) {
          acc[c] = fma<T>(x, y, acc[c]);
        } else {
          acc[c] = acc[c] + x * y;
        }
      }
    }
    int level = step->level;
    for (int f = 0; f < step->folds; ++f) {
      --level;
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) acc[c] = load<T>(place(level, c)) + acc[c];
    }
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) store<T>(place(level, c), acc[c]);
  }
}

template <class T, bool Fused, int Columns = kGroupedColumns>
Grouped<T> find_grouped(int columns) {
  if constexpr (Columns > 1) {
    if (columns != Columns) return find_grouped<T, Fused, Columns - 1>(columns);
  }
  return grouped<T, Columns, Fused>;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
