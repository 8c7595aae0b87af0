// SPDX-License-Identifier: MIT
// What the kernel for sums of gathered lines works on (core/gather_sum.h).
#pragma once

#include "../../core/arith.h"
#include "../../core/element.h"
#include "../../core/order.h"

namespace fpdet::inline FPDET_TARGET::kernels {

struct GatherTask {
  Scalar scalar = Scalar::Float32;
  Order order;
  Arithmetic arithmetic;
  int64_t sums = 0, columns = 0;
  int64_t tile = 0;  ///< columns of an item
  const int64_t* offsets = nullptr;
  const int64_t* indices = nullptr;
  const void* x = nullptr;  ///< columns side by side
  int64_t x_line = 0;
  const void* weights = nullptr;
  int64_t weight_step = 1;
  void* out = nullptr;

  int64_t tiles() const { return (columns + tile - 1) / tile; }
  int64_t items() const { return sums * tiles(); }  ///< numbered (sum, tile)
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
