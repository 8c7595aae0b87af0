// SPDX-License-Identifier: MIT
// The elementwise kernels of one instruction set, as plain pointers: a task (elementwise_task.h)
// travels as void*. Each runs the elements [begin, end), or those of some rows.
#pragma once

#include <cstdint>

#include "../../core/config.h"
#include "binary_row.h"

namespace fpdet::cpu {

struct ElementwiseKernels {
  void (*round)(const void* task, int64_t begin, int64_t end);
  void (*binary)(const void* task, const BinaryRow* rows, int64_t count);
  void (*sgd)(const void* task, const void* tensor, int64_t begin, int64_t end);
};

}  // namespace fpdet::cpu

namespace fpdet {
inline namespace FPDET_TARGET {}
#if defined(__x86_64__)
namespace avx2::kernels {
const cpu::ElementwiseKernels& elementwise_kernels();
}
namespace avx512::kernels {
const cpu::ElementwiseKernels& elementwise_kernels();
}
#else
namespace baseline::kernels {
const cpu::ElementwiseKernels& elementwise_kernels();
}
#endif
}  // namespace fpdet
