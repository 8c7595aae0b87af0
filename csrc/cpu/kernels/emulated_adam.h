// SPDX-License-Identifier: MIT
// Adam's step in arithmetic that the processor does not have (see emulated_ops.h), on elements that
// float32 holds.
#pragma once

#include "adam_task.h"

namespace fpdet::inline FPDET_TARGET::kernels {

void run_emulated_adam(const AdamTask& task, const AdamPointers& at, int64_t begin, int64_t end);

}  // namespace fpdet::inline FPDET_TARGET::kernels
