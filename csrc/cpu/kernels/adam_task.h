// SPDX-License-Identifier: MIT
// What Adam's kernel works on.
#pragma once

#include "../../core/adam.h"
#include "elementwise_task.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// The elements of one tensor.
struct AdamPointers {
  uint32_t number = 0;  ///< of the tensor
  int64_t count = 0;
  void* parameter = nullptr;
  const void* gradient = nullptr;
  void* average = nullptr;
  void* square = nullptr;
  void* most = nullptr;  ///< null without amsgrad
};

struct AdamTask {
  Scalar scalar = Scalar::Float32;
  bool wide = false;      ///< the accumulator is float64, not float32
  bool emulated = false;  ///< its operations are no instructions
  bool converts = false;  ///< the element type does not hold the accumulator's values
  Arithmetic arithmetic;
  Conversion conversion;
  AdamCoefficients coefficients;
  Source source;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
