// SPDX-License-Identifier: MIT
// Adam's kernel of one instruction set: elements [begin, end) of an AdamPointers under an AdamTask
// (adam_task.h), which travel as void*.
#pragma once

#include <cstdint>

#include "../../core/config.h"

namespace fpdet::cpu {

using AdamKernel = void (*)(const void* task, const void* tensor, int64_t begin, int64_t end);

}  // namespace fpdet::cpu

// Defined by adam.cpp, compiled once per name.
namespace fpdet {
inline namespace FPDET_TARGET {}
#if defined(__x86_64__)
namespace avx2::kernels {
void adam(const void* task, const void* tensor, int64_t begin, int64_t end);
}
namespace avx512::kernels {
void adam(const void* task, const void* tensor, int64_t begin, int64_t end);
}
#else
namespace baseline::kernels {
void adam(const void* task, const void* tensor, int64_t begin, int64_t end);
}
#endif
}  // namespace fpdet
