// SPDX-License-Identifier: MIT
// Operations of a hardware accumulator A under a rounding that is a constant: float or double.
#pragma once

#include "../core/arith.h"
#include "../core/element.h"

namespace fpdet::cuda {

template <class A, Rounding R, bool Fused>
struct HardwareOps {
  static_assert(is_hardware(R));

  /// x + c y; as Arith::accumulate.
  FPDET_HD static A multiply_add(A c, A y, A x, int64_t, int64_t) {
    if constexpr (Fused) {
      return ieee_fma<R>(c, y, x);
    } else {
      return ieee_add<R>(x, ieee_mul<R>(c, y));
    }
  }
  FPDET_HD static A add(A p, A q) { return ieee_add<R>(p, q); }
  FPDET_HD static A mul(A c, A y, int64_t) { return ieee_mul<R>(c, y); }
  FPDET_HD static A div(A y, A c, int64_t) { return ieee_div<R>(y, c); }
  FPDET_HD static A negate(A y) { return -y; }
};

/// An element as a member of A, which holds all of its values.
template <class A, class T>
FPDET_HD inline A to_accumulator(T x) {
  if constexpr (__is_same(T, A)) {
    return x;
  } else {
    return static_cast<A>(widen(x));
  }
}

/// Rounded into the element type T.
template <class T, Rounding R, class A>
FPDET_HD inline T to_element(A x, Rounding rounding) {
  if constexpr (__is_same(T, A)) {
    return x;
  } else if constexpr (__is_same(T, float)) {
    return ieee_to_float<R>(x);
  } else {
    constexpr Format kOwn = kFormatOf<T>;
    T result;
    store(soft_round(static_cast<double>(x), kOwn, rounding, StochasticSpec{}, 0), result);
    return result;
  }
}

}  // namespace fpdet::cuda
