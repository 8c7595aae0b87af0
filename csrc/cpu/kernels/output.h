// SPDX-License-Identifier: MIT
// The end of an output element: bias, and conversion to the element type.
#pragma once

#include "micro.h"
#include "task.h"
#include "vec.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Stores members of the accumulator's format as elements, under the ambient rounding.
template <class T, class S>
__attribute__((noinline)) void convert(const Task& task, const T* from, int64_t n, S* to,
                                       const int64_t* offsets) {
  if constexpr (__is_same(T, S) || (sizeof(T) == 8 && __is_same(S, float))) {
    for (int64_t i = 0; i < n; ++i) to[offsets[i]] = static_cast<S>(from[i]);
  } else {
    int64_t i = 0;
#if defined(__F16C__)
    if constexpr (sizeof(T) == 4 && __is_same(S, Float16)) {
      for (; i + 8 <= n; i += 8) {
        uint16_t lanes[8];
        to_float16(from + i, lanes);
        for (int l = 0; l < 8; ++l) to[offsets[i + l]].bits = lanes[l];
      }
    }
#endif
    const Arith arith(task.arithmetic, true);
    RandomBits none;
    for (; i < n; ++i) {
      fpdet::store(arith.round_to(static_cast<double>(from[i]), kFormatOf<S>, none, 0),
                   to[offsets[i]]);
    }
  }
}

template <class T>
__attribute__((noinline)) V<T> add(V<T> a, V<T> b) {
  return a + b;
}

template <class T>
__attribute__((noinline)) void add_to_row(T* row, T b) {
  for (int v = 0; v < kPanel<T>; v += kLanes<T>)
    store<T>(row + v, load<T>(row + v) + broadcast<T>(b));
}

/// rows[i][lane] += b[lane], kPanel lanes a row.
template <class T>
__attribute__((noinline)) void add_to_rows(T* rows, int64_t count, const T* b) {
  for (int64_t i = 0; i < count; ++i, rows += kPanel<T>) {
    for (int v = 0; v < kPanel<T>; v += kLanes<T>) {
      store<T>(rows + v, load<T>(rows + v) + load<T>(b + v));
    }
  }
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
