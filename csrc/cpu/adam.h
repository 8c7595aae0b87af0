// SPDX-License-Identifier: MIT
// Adam's step on the CPU.
#pragma once

#include "../calls/adam.h"
#include "contraction.h"

namespace fpdet::cpu {

using fpdet::AdamCall;
using fpdet::AdamTensor;

/// Whether there is a kernel; the call's tensors are not looked at.
bool fast_adam_covers(const AdamCall& call);

// The kernels, and the definition itself for every combination: the same bits.
void fast_adam(const AdamCall& call, const ParallelFor& parallel_for);
void slow_adam(const AdamCall& call, const ParallelFor& parallel_for);

}  // namespace fpdet::cpu
