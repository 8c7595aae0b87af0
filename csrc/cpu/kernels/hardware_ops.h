// SPDX-License-Identifier: MIT
// Vectors of float or double under the ambient rounding mode: the operations that core's SGD step
// and addition are written in, where the processor has the rounding.
#pragma once

#include <type_traits>

#include "elementwise_task.h"
#include "lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class T>
using LayoutOf = std::conditional_t<sizeof(T) == 4, Binary32, Binary64>;

template <class T>
FPDET_INLINE const PatternFormat<LayoutOf<T>>& pattern_format(const Conversion& conversion) {
  if constexpr (sizeof(T) == 4) {
    return conversion.format32;
  } else {
    return conversion.format64;
  }
}

/// R and Shrinks are those of the conversion to a 16-bit element.
template <class T, Rounding R, bool Shrinks>
class HardwareOps {
 public:
  using Value = LanesN<T, kFull<T>>;
  static constexpr int kLanes = kFull<T>;

  HardwareOps(const Arithmetic& arithmetic, const Conversion& conversion)
      : fused_(arithmetic.fused), conversion_(pattern_format<T>(conversion)) {}

  FPDET_INLINE Value add(Value x, Value y, int64_t) const { return x + y; }
  FPDET_INLINE Value mul(Value c, Value y, int64_t) const { return c * y; }
  FPDET_INLINE Value div(Value y, Value c, int64_t) const { return y / c; }
  FPDET_INLINE Value negate(Value y) const { return -y; }
  FPDET_INLINE Value multiply_add(Value c, Value y, Value x, int64_t, int64_t) const {
    return fused_ ? fma<T>(c, y, x) : x + c * y;
  }
  /// A scalar that is a member of the accumulator's format.
  FPDET_INLINE static Value coefficient(double c) { return broadcast(static_cast<T>(c)); }

  FPDET_INLINE void enter(int64_t) const {}
  template <class S>
  FPDET_INLINE Value load(const S* p) const {
    return load_values<T, kLanes>(p);
  }
  template <bool Stream, class S>
  FPDET_INLINE void store(S* p, Value x, int64_t) const {
    if constexpr (sizeof(S) == 2) {
      using Words = LanesN<typename LayoutOf<T>::Word, kLanes>;
      const Words rounded = round_pattern<R, Shrinks>(reinterpret<Words>(x), conversion_, Words{});
      put_members<Stream, kLanes>(p, reinterpret<Value>(rounded));
    } else {
      put_members<Stream, kLanes>(p, x);  // float64 to float32: rounded as everything here
    }
  }

 private:
  bool fused_;
  PatternFormat<LayoutOf<T>> conversion_;
};

/// f.template operator()<Ops>() with the HardwareOps for a task's element type S and accumulator.
template <class S, class Task, class F>
FPDET_INLINE void with_hardware_ops(const Task& task, F&& f) {
  const auto choose = [&]<class T>(T) {
    if constexpr (sizeof(S) != 2) {
      f.template operator()<HardwareOps<T, Rounding::NearestEven, false>>();
    } else {
      with_pattern_format(pattern_format<T>(task.conversion), [&]<Rounding R, bool Shrinks>() {
        if constexpr (is_hardware(R)) f.template operator()<HardwareOps<T, R, Shrinks>>();
      });
    }
  };
  if (task.wide) {
    choose(double{});
  } else if constexpr (!__is_same(S, double)) {
    choose(float{});
  }
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
