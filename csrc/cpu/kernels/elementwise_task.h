// SPDX-License-Identifier: MIT
// What the elementwise kernels work on.
#pragma once

#include "../../core/binary.h"
#include "../../core/element.h"
#include "../../core/pattern.h"
#include "../../core/sgd.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Which random bits element i draws: those of position first + i under the tensor's number.
struct Source {
  uint64_t seed = 0, counter = 0;
  uint32_t pass = 0, tensor = 0;
  uint64_t first = 0;
};

/// One rounding of patterns, of float32 or float64 lanes.
struct RoundTask {
  Scalar scalar = Scalar::Float32;
  bool wide = false;  ///< float64 lanes
  PatternFormat<Binary32> format32;
  PatternFormat<Binary64> format64;
  Source source;
  bool stream = false;  ///< the result goes past the caches
  const void* x = nullptr;
  void* out = nullptr;
};

/// How results in the accumulator's format become stored elements.
struct Conversion {
  PatternFormat<Binary32> format32;
  PatternFormat<Binary64> format64;
};

struct BinaryTask {
  Scalar scalar = Scalar::Float32;
  BinaryOperation operation = BinaryOperation::Add;
  bool wide = false;      ///< the accumulator is float64, not float32
  bool emulated = false;  ///< its operations are no instructions
  bool converts = false;  ///< the element type does not hold the accumulator's values
  Arithmetic arithmetic;
  Conversion conversion;
  Source source;
  bool stream = false;
};

/// The elements of one tensor; no buffer without momentum.
struct SgdPointers {
  uint32_t number = 0;  ///< of the tensor
  int64_t count = 0;
  void* parameter = nullptr;
  const void* gradient = nullptr;
  void* buffer = nullptr;
};

struct SgdTask {
  Scalar scalar = Scalar::Float32;
  bool wide = false, emulated = false, converts = false;
  Arithmetic arithmetic;
  Conversion conversion;
  SgdCoefficients coefficients;
  Source source;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
