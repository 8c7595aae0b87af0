// SPDX-License-Identifier: MIT
// The elementary functions on the CPU.
#pragma once

#include "../calls/unary.h"
#include "contraction.h"

namespace fpdet::cpu {

using fpdet::UnaryCall;

/// Elements worth waking another thread for.
inline constexpr int64_t kUnaryGrain = 4096;

/// By the kernels of the instruction set in use; where there are none, by the definition.
void unary(const UnaryCall& call, const ParallelFor& parallel_for);
/// The definition.
void slow_unary(const UnaryCall& call, const ParallelFor& parallel_for);

}  // namespace fpdet::cpu
