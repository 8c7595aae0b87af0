// SPDX-License-Identifier: MIT
// What the kernels of the elementary functions work on.
#pragma once

#include "../../core/unary.h"
#include "elementwise_task.h"

namespace fpdet::inline FPDET_TARGET::kernels {

struct UnaryTask {
  Function function;
  Scalar scalar;
  Arithmetic arithmetic;
  Source source;
  const void* x;
  void* out;

  /// The random source of element i; unused unless the rounding draws.
  RandomBits random(int64_t i) const {
    if (arithmetic.rounding != Rounding::Stochastic) return {};
    const auto sample = static_cast<uint32_t>(source.first_sample + i / source.per_sample);
    return {arithmetic.stochastic, element_key(source.seed, source.counter, source.pass, sample,
                                               static_cast<uint64_t>(i % source.per_sample))};
  }
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
