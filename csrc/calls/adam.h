// SPDX-License-Identifier: MIT
// Adam's step, as numbers and pointers. Element i of every tensor lies at place i: without gaps,
// row-major where random bits are drawn.
#pragma once

#include <cstdint>
#include <vector>

#include "../core/adam.h"
#include "contraction.h"

namespace fpdet::inline FPDET_TARGET {

struct AdamTensor {
  int64_t count = 0;
  uint32_t number = 0;  ///< in the op's list
  void* parameter = nullptr;
  const void* gradient = nullptr;
  void* average = nullptr;
  void* square = nullptr;
  void* most = nullptr;  ///< null without amsgrad
};

/// One step of every tensor, all of one element type.
struct AdamCall {
  Scalar scalar = Scalar::Float32;
  AdamScalars scalars;
  Arithmetic arithmetic;
  Draw draw;
  std::vector<AdamTensor> tensors;
};

}  // namespace fpdet::inline FPDET_TARGET
