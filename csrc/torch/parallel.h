// SPDX-License-Identifier: MIT
// Loops on torch's own thread pool, ended early by an exception of the body or by Ctrl-C.
#pragma once

#include "../cpu/contraction.h"

namespace fpdet::torch_ops {

/// The message of the error that ends an interrupted loop; Python turns it into KeyboardInterrupt.
inline constexpr const char* kInterrupted = "fpdet: interrupted";

/// body over pieces of [0, count) on torch's pool.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

/// The same, in pieces short enough to notice an interrupt (SIGINT) within a second, given what one
/// item costs.
void interruptible_parallel_for(double seconds_per_item, int64_t count, int64_t grain,
                                const std::function<void(int64_t, int64_t)>& body);

}  // namespace fpdet::torch_ops
