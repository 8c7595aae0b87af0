// SPDX-License-Identifier: MIT
// Ops without a reduction on the CPU.
#pragma once

#include "../calls/elementwise.h"
#include "contraction.h"

namespace fpdet::cpu {

using fpdet::BinaryCall;
using fpdet::BinaryOperand;
using fpdet::RoundCall;
using fpdet::SgdCall;
using fpdet::SgdTensor;

// Whether there is a kernel; the call's sizes and pointers are not looked at.
bool fast_round_covers(const RoundCall& call);
bool fast_binary_covers(const BinaryCall& call);
bool fast_sgd_covers(const SgdCall& call);

// The kernels, and the definition itself for every combination: the same bits.
void fast_round(const RoundCall& call, const ParallelFor& parallel_for);
void fast_binary(const BinaryCall& call, const ParallelFor& parallel_for);
void fast_sgd(const SgdCall& call, const ParallelFor& parallel_for);
void slow_round(const RoundCall& call, const ParallelFor& parallel_for);
void slow_binary(const BinaryCall& call, const ParallelFor& parallel_for);
void slow_sgd(const SgdCall& call, const ParallelFor& parallel_for);

}  // namespace fpdet::cpu
