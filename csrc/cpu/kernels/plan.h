// SPDX-License-Identifier: MIT
// What every method needs to cut a contraction into work items and to size its memory. Sizes chosen
// here are speed knobs: none of them enters a result.
#pragma once

#include "task.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int64_t kChunk = 256;  // terms packed at a time

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t at_least(int64_t a, int64_t low) { return a < low ? low : a; }
constexpr int64_t at_most(int64_t a, int64_t high) { return a > high ? high : a; }
constexpr int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

inline Schedule schedule_of(const Task& task) {
  return Schedule(task.order, task.terms, task.permutation);
}

/// Partials alive at once, the growing one included.
inline int64_t stack_depth(const Task& task) {
  const int64_t runs = schedule_of(task).runs();
  if (runs <= 1) return 1;
  const bool first_to_last =
      task.order.kind == OrderKind::Split || task.order.kind == OrderKind::SplitShuffled;
  int64_t depth = 2;
  for (int64_t rest = (runs - 1) >> 1; rest != 0 && !first_to_last; rest >>= 1) ++depth;
  return depth;
}

inline bool double_accumulator(const Task& task) { return task.arithmetic.format == kFloat64; }

/// Calls f(accumulator value, element value).
template <class F>
void with_types(const Task& task, F&& f) {
  with_scalar(task.scalar, [&]<class S>(S element) {
    if (double_accumulator(task)) {
      f(double{}, element);
    } else if constexpr (!__is_same(S, double)) {
      f(float{}, element);
    }
  });
}

/// Tree orders whose every operation is one instruction: float32 and float64 accumulators (operands
/// are members of it) under the roundings that the ambient mode can take.
inline bool tree_on_hardware(const Task& task) {
  const Format& format = task.arithmetic.format;
  return task.order.is_tree() && task.order.vary != Vary::Element &&
         is_hardware(task.arithmetic.rounding) &&
         (format == kFloat64 || (format == kFloat32 && task.scalar != Scalar::Float64));
}

/// Hands out aligned parts of one thread's scratch.
class Carver {
 public:
  explicit Carver(void* scratch) : at_(static_cast<char*>(scratch)) {}
  template <class T = char>
  T* take(int64_t bytes) {
    char* part = at_;
    at_ += aligned(bytes);
    return reinterpret_cast<T*>(part);
  }

 private:
  char* at_;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
