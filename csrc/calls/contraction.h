// SPDX-License-Identifier: MIT
// A contraction to carry out, as numbers and pointers: what every device is given.
#pragma once

#include <cstdint>
#include <vector>

#include "../core/arith.h"
#include "../core/contraction.h"
#include "../core/element.h"
#include "../core/order.h"

namespace fpdet::inline FPDET_TARGET {

/// What the random bits of a call are drawn from (core/random.h).
struct Draw {
  uint64_t seed = 0;
  uint64_t counter = 0;
  uint32_t pass = 0;
  int64_t batch_offset = 0;
  /// Where not null, seed and counter stand there, in the memory of the operands' device.
  const int64_t* on_device = nullptr;
};

struct ContractionCall {
  Contraction problem;
  std::vector<Contraction> rest;  ///< more of the same operands, into other elements of `out`
  Order order;
  Arithmetic arithmetic;
  Draw draw;
  Scalar scalar = Scalar::Float32;  ///< of operands, bias and output
  const void* left = nullptr;
  const void* right = nullptr;
  const void* bias = nullptr;  ///< one per group and row, or null
  int64_t bias_stride = 1;     ///< elements; group g's row r has number g * rows + r
  void* out = nullptr;
};

/// The call's problem (0) or one of the rest (1, ...) by itself.
inline ContractionCall part_of(const ContractionCall& call, size_t part) {
  ContractionCall alone = call;
  if (part > 0) alone.problem = call.rest[part - 1];
  alone.rest.clear();
  return alone;
}

}  // namespace fpdet::inline FPDET_TARGET
