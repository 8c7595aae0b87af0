// SPDX-License-Identifier: MIT
// The element types that tensors store, and their way to and from double. Narrow types are bare bit
// patterns: all arithmetic on them is core's.
#pragma once

#include <cstdint>

#include "bits.h"
#include "config.h"
#include "format.h"

namespace fpdet::inline FPDET_TARGET {

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

FPDET_HD constexpr double widen(double x) { return x; }
FPDET_HD constexpr double widen(float x) { return static_cast<double>(x); }
FPDET_HD constexpr double widen(BFloat16 x) { return bfloat16_to_double(x.bits); }
FPDET_HD constexpr double widen(Float16 x) { return float16_to_double(x.bits); }

/// Store a member of the element's format (round to it first).
FPDET_HD constexpr void store(double member, double& x) { x = member; }
FPDET_HD constexpr void store(double member, float& x) { x = static_cast<float>(member); }
FPDET_HD constexpr void store(double member, BFloat16& x) { x.bits = double_to_bfloat16(member); }
FPDET_HD constexpr void store(double member, Float16& x) { x.bits = double_to_float16(member); }

/// Elements of one type in memory, as the numbers that they are.
template <class T>
struct Elements {
  const T* data;

  FPDET_HD double operator[](int64_t i) const { return widen(data[i]); }
};

template <class T>
inline constexpr Format kFormatOf = kFloat64;
template <>
inline constexpr Format kFormatOf<float> = kFloat32;
template <>
inline constexpr Format kFormatOf<BFloat16> = kBfloat16;
template <>
inline constexpr Format kFormatOf<Float16> = kFloat16;

enum class Scalar : int { Float64, Float32, BFloat16, Float16 };

/// Calls f with a value of the element type.
template <class F>
decltype(auto) with_scalar(Scalar scalar, F&& f) {
  switch (scalar) {
    case Scalar::Float64:
      return f(double{});
    case Scalar::Float32:
      return f(float{});
    case Scalar::BFloat16:
      return f(BFloat16{});
    default:
      return f(Float16{});
  }
}

/// The same for the types that float32 holds; nothing for float64.
template <class F>
void with_narrow_scalar(Scalar scalar, F&& f) {
  with_scalar(scalar, [&]<class S>(S element) {
    if constexpr (!__is_same(S, double)) f(element);
  });
}

inline Format format_of(Scalar scalar) {
  return with_scalar(scalar, []<class T>(T) { return kFormatOf<T>; });
}

}  // namespace fpdet::inline FPDET_TARGET
