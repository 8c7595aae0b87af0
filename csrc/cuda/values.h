// SPDX-License-Identifier: MIT
// Elements whose type is known at run time only, and what both slow and fast kernels do with them.
#pragma once

#include "../calls/contraction.h"

namespace fpdet::cuda {

FPDET_HD inline double load_element(Scalar scalar, const void* data, int64_t at) {
  switch (scalar) {
    case Scalar::Float64:
      return static_cast<const double*>(data)[at];
    case Scalar::Float32:
      return widen(static_cast<const float*>(data)[at]);
    case Scalar::BFloat16:
      return widen(static_cast<const BFloat16*>(data)[at]);
    default:
      return widen(static_cast<const Float16*>(data)[at]);
  }
}

/// Stores a member of the element's format.
FPDET_HD inline void store_element(Scalar scalar, void* data, int64_t at, double member) {
  switch (scalar) {
    case Scalar::Float64:
      store(member, static_cast<double*>(data)[at]);
      break;
    case Scalar::Float32:
      store(member, static_cast<float*>(data)[at]);
      break;
    case Scalar::BFloat16:
      store(member, static_cast<BFloat16*>(data)[at]);
      break;
    default:
      store(member, static_cast<Float16*>(data)[at]);
  }
}

FPDET_HD inline Format element_format(Scalar scalar) {
  constexpr Format kFormats[] = {kFloat64, kFloat32, kBfloat16, kFloat16};
  return kFormats[static_cast<int>(scalar)];
}

/// Seed and counter read where they lie.
FPDET_HD inline Draw resolved(Draw draw) {
  if (draw.on_device != nullptr) {
    draw.seed = static_cast<uint64_t>(draw.on_device[0]);
    draw.counter = static_cast<uint64_t>(draw.on_device[1]);
    draw.on_device = nullptr;
  }
  return draw;
}

/// Whether every operand of such a call is a value of the hardware type behind the format.
FPDET_HD inline bool operands_fit(Scalar scalar, const Format& format) {
  return scalar != Scalar::Float64 || is_float64(format);
}

/// Elements (core/element.h) of a type known at run time only.
struct AnyElements {
  Scalar scalar;
  const void* data;

  FPDET_HD double operator[](int64_t i) const { return load_element(scalar, data, i); }
};

}  // namespace fpdet::cuda
