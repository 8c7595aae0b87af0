// SPDX-License-Identifier: MIT
// Vectors of float or double under the ambient rounding mode: the operations that core's SGD step
// and addition are written in, where the processor has the rounding.
#pragma once

#include "conversion.h"
#include "elementwise_task.h"
#include "lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class T>
class HardwareOps {
 public:
  using Value = LanesN<T, kFull<T>>;
  static constexpr int kLanes = kFull<T>;

  HardwareOps(const Arithmetic& arithmetic, const Conversion& conversion)
      : fused_(arithmetic.fused), convert_(conversion) {}

  FPDET_INLINE Value add(Value x, Value y) const { return x + y; }
  FPDET_INLINE Value mul(Value c, Value y, int64_t) const { return c * y; }
  FPDET_INLINE Value div(Value y, Value c, int64_t) const { return y / c; }
  FPDET_INLINE Value negate(Value y) const { return -y; }
  FPDET_INLINE Value multiply_add(Value c, Value y, Value x, int64_t, int64_t) const {
    return fused_ ? fma<T>(c, y, x) : x + c * y;
  }
  /// A scalar that is a member of the accumulator's format.
  FPDET_INLINE static Value coefficient(double c) { return broadcast(static_cast<T>(c)); }

  template <class S>
  FPDET_INLINE Value load(const S* p) const {
    return load_values<T, kLanes>(p);
  }
  template <bool Stream, class S>
  FPDET_INLINE void store(S* p, Value x) const {
    if constexpr (sizeof(S) == 2) {
      put_members<Stream, kLanes>(p, convert_(x));
    } else {
      put_members<Stream, kLanes>(p, x);  // float64 to float32: rounded as everything here
    }
  }

 private:
  bool fused_;
  Converter<T> convert_;
};

/// f(an accumulator's value, an element) for a task's types.
template <class Task, class F>
FPDET_INLINE void with_hardware_types(const Task& task, F&& f) {
  with_scalar(task.scalar, [&]<class S>(S element) {
    if (task.wide) {
      f(double{}, element);
    } else if constexpr (!__is_same(S, double)) {
      f(float{}, element);
    }
  });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
