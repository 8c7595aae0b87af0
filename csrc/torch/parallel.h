// SPDX-License-Identifier: MIT
// Loops on torch's own thread pool, ended early by an exception of the body or by Ctrl-C.
#pragma once

#include <functional>

#include "../cpu/parallel.h"

namespace fpdet::torch_ops {

/// The message of the error that ends an interrupted loop; Python turns it into KeyboardInterrupt.
inline constexpr const char* kInterrupted = "fpdet: interrupted";

/// A cpu::ParallelFor on torch's pool.
void parallel_for(int64_t count, int64_t grain, const std::function<void(cpu::Pieces&)>& body);

/// The same, in pieces short enough to notice an interrupt (SIGINT) within a second, given what one
/// item costs.
void interruptible_parallel_for(double seconds_per_item, int64_t count, int64_t grain,
                                const std::function<void(cpu::Pieces&)>& body);

}  // namespace fpdet::torch_ops
