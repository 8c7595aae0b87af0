// SPDX-License-Identifier: MIT
// The kernel of the elementary functions of one instruction set: a task (functions_task.h) as
// void*, the elements [begin, end).
#pragma once

#include <cstdint>

#include "../../core/config.h"

namespace fpdet::cpu {

using UnaryKernel = void (*)(const void* task, int64_t begin, int64_t end);

}  // namespace fpdet::cpu

namespace fpdet {
inline namespace FPDET_TARGET {}
#if defined(__x86_64__)
namespace avx2::kernels {
void unary(const void* task, int64_t begin, int64_t end);
}
namespace avx512::kernels {
void unary(const void* task, int64_t begin, int64_t end);
}
#else
namespace baseline::kernels {
void unary(const void* task, int64_t begin, int64_t end);
}
#endif
}  // namespace fpdet
