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
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
