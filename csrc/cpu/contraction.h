// SPDX-License-Identifier: MIT
// Contractions on the CPU: one call description, two ways to carry it out.
//
//   slow_contraction   every combination, one output element at a time, straight from core
//   fast_contraction   tree orders over float32/float64 accumulators under hardware roundings:
//                      SIMD lanes are outputs, so no width, tile or thread count enters a result;
//                      and order exact of narrower operands than float64
#pragma once

#include "../calls/contraction.h"
#include "parallel.h"

namespace fpdet::cpu {

using fpdet::ContractionCall;
using fpdet::Draw;
using fpdet::part_of;

bool fast_contraction_covers(const ContractionCall& call);
/// False, with nothing done, where it does not cover the call.
bool fast_contraction(const ContractionCall& call, const ParallelFor& parallel_for);

void slow_contraction(const ContractionCall& call, const ParallelFor& parallel_for);

}  // namespace fpdet::cpu
