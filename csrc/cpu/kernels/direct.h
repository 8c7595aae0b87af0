// SPDX-License-Identifier: MIT
// Contractions of one or two rows and few terms (depthwise convolution, forward and grad_input): a
// packed operand would be used once, so vectors of outputs along the last axis take their operands
// straight from memory, under masks that make +0 of what lies outside.
#pragma once

#include "micro.h"
#include "pack.h"
#include "task.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int64_t kDirectTerms = 256;     // most terms
inline constexpr int64_t kDirectColumns = 4096;  // longest last axis
inline constexpr int64_t kDirectRows = 2;

/// One vector of outputs: the steps' sum over the terms.
template <class T, class S>
struct DirectSum {
  const Entry* terms;
  const Step* steps;
  int64_t step_count;
  const T* left;  ///< [term][rows], at the row
  int64_t rows;
  const S* base;  ///< the operand's element of lane 0 at a term of offset 0
  int64_t stride;
  const uint16_t* lanes;   ///< per term: lanes inside on the last axis
  const uint16_t* inside;  ///< per term: all ones if inside on the other axes, else 0
};

template <class T, class S, bool Fused>
__attribute__((noinline)) V<T> direct_sum(const DirectSum<T, S>& a) {
  V<T> stack[Schedule::kMaxDepth];
  int64_t t = 0;
  V<T> acc{};
  for (const Step *step = a.steps, *end = step + a.step_count; step != end; ++step) {
    acc = V<T>{};
    for (const int64_t last = t + step->count; t < last; ++t) {
      const uint32_t mask = static_cast<uint32_t>(a.lanes[t] & a.inside[t]);
      const V<T> x = gather<T>(a.base + a.terms[t].offset, a.stride, mask);
      const V<T> w = broadcast<T>(a.left[t * a.rows]);
      if constexpr (Fused) {
        acc = fma<T>(w, x, acc);
      } else {
        acc = acc + w * x;
      }
    }
    int level = step->level;
    for (int f = 0; f < step->folds; ++f) acc = stack[--level] + acc;
    stack[level] = acc;
  }
  return acc;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
