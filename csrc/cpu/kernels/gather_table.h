// SPDX-License-Identifier: MIT
// The kernel for sums of gathered lines of one instruction set, as a plain pointer: a task
// (gather_task.h) travels as void*.
#pragma once

#include <cstdint>

#include "../../core/config.h"

namespace fpdet::cpu {

struct GatherKernels {
  void (*run)(const void* task, int64_t begin, int64_t end);  ///< of task.items()
};

}  // namespace fpdet::cpu

namespace fpdet {
inline namespace FPDET_TARGET {}
#if defined(__x86_64__)
namespace avx2::kernels {
const cpu::GatherKernels& gather_kernels();
}
namespace avx512::kernels {
const cpu::GatherKernels& gather_kernels();
}
#else
namespace baseline::kernels {
const cpu::GatherKernels& gather_kernels();
}
#endif
}  // namespace fpdet
