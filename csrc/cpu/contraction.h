// SPDX-License-Identifier: MIT
// Contractions on the CPU: one call description, two ways to carry it out.
//
//   slow_contraction   every combination, one output element at a time, straight from core
//   fast_contraction   tree orders over float32/float64 accumulators under hardware roundings:
//                      SIMD lanes are outputs, so no width, tile or thread count enters a result;
//                      and order exact of narrower operands than float64
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "../core/arith.h"
#include "../core/contraction.h"
#include "../core/element.h"
#include "../core/order.h"

namespace fpdet::cpu {

/// Runs body(begin, end) over pieces of [0, count), on a pool or not; passes exceptions on.
using ParallelFor = std::function<void(int64_t count, int64_t grain,
                                       const std::function<void(int64_t, int64_t)>& body)>;

/// What the random bits of a call are drawn from (core/random.h).
struct Draw {
  uint64_t seed = 0;
  uint64_t counter = 0;
  uint32_t pass = 0;
  int64_t batch_offset = 0;
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
ContractionCall part_of(const ContractionCall& call, size_t part);

bool fast_contraction_covers(const ContractionCall& call);
/// False, with nothing done, where it does not cover the call.
bool fast_contraction(const ContractionCall& call, const ParallelFor& parallel_for);

void slow_contraction(const ContractionCall& call, const ParallelFor& parallel_for);

}  // namespace fpdet::cpu
