// SPDX-License-Identifier: MIT
// Ordered sums of chosen lines of a matrix on the CPU.
#pragma once

#include "../calls/gather_sum.h"
#include "contraction.h"

namespace fpdet::cpu {

using fpdet::GatherSumCall;

/// Whether there is a kernel; sizes and pointers are not looked at, but columns must lie side by
/// side.
bool fast_gather_sum_covers(const GatherSumCall& call);

// The kernel, and the definition itself for every combination: the same bits.
void fast_gather_sum(const GatherSumCall& call, const ParallelFor& parallel_for);
void slow_gather_sum(const GatherSumCall& call, const ParallelFor& parallel_for);

}  // namespace fpdet::cpu
