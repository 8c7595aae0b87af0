// SPDX-License-Identifier: MIT
// Ops without a reduction, as numbers and pointers. Element i lies at place i: tensors without
// gaps, row-major where random bits are drawn, in any order common to all operands otherwise.
#pragma once

#include <cstdint>
#include <vector>

#include "../core/sgd.h"
#include "contraction.h"

namespace fpdet::inline FPDET_TARGET {

/// out[i] = round(x[i]) into `format`, then into the element type (docs/semantics.md section 8).
struct RoundCall {
  Scalar scalar = Scalar::Float32;
  Format format = kFloat32;
  Rounding rounding = Rounding::NearestEven;
  StochasticSpec stochastic;
  Draw draw;
  int64_t count = 0;
  int64_t per_sample = 1;
  const void* x = nullptr;
  void* out = nullptr;
};

/// out[i] = a[i] + b[i], rounded by the Arithmetic, then into the element type.
struct AddCall {
  Scalar scalar = Scalar::Float32;
  Arithmetic arithmetic;
  Draw draw;
  int64_t count = 0;
  int64_t per_sample = 1;
  const void* a = nullptr;
  const void* b = nullptr;
  void* out = nullptr;
};

struct SgdTensor {
  int64_t count = 0;
  uint32_t number = 0;  ///< in the op's list
  void* parameter = nullptr;
  const void* gradient = nullptr;
  void* buffer = nullptr;  ///< null without momentum
};

/// One step of every tensor, all of one element type.
struct SgdCall {
  Scalar scalar = Scalar::Float32;
  SgdScalars scalars;
  Arithmetic arithmetic;
  Draw draw;
  std::vector<SgdTensor> tensors;
};

}  // namespace fpdet::inline FPDET_TARGET
