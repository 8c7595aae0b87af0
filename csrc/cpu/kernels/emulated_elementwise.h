// SPDX-License-Identifier: MIT
// Binary operations and SGD step in arithmetic that the processor does not have (see
// emulated_ops.h), on elements that float32 holds.
#pragma once

#include "binary_row.h"
#include "elementwise_task.h"

namespace fpdet::inline FPDET_TARGET::kernels {

void run_emulated_binary(const BinaryTask& task, const cpu::BinaryRow* rows, int64_t count);
void run_emulated_sgd(const SgdTask& task, const SgdPointers& at, int64_t begin, int64_t end);

}  // namespace fpdet::inline FPDET_TARGET::kernels
