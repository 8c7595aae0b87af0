// SPDX-License-Identifier: MIT
// The functions that exist once per instruction set, as plain pointers: no type of a versioned
// namespace appears here, a Task (task.h) travels as void*.
#pragma once

#include <cstdint>

#include "../../core/config.h"
#include "../pieces.h"

namespace fpdet::cpu {

struct ContractionKernels {
  bool (*covers)(void* task);  ///< some method gives the definition's bits; sets counts
  bool (*plan)(void* task);    ///< covers, then sets tiles and memory of the chosen method
  void (*pack_left)(const void* task, int64_t begin, int64_t end);  ///< of task.left_items
  void (*run)(const void* task, void* scratch, Pieces& items);      ///< of task.items
  const char* (*method_name)(int i);  ///< of method 0, 1, ...; null after the last
  bool (*suits_half)(void* task);     ///< kernels of half the vectors' width do it better
};

}  // namespace fpdet::cpu

// Defined by kernels/contraction.cpp, compiled once per name.
namespace fpdet {
inline namespace FPDET_TARGET {}
#if defined(__x86_64__)
namespace avx2::kernels {
const cpu::ContractionKernels& contraction_kernels();
}
namespace avx512::kernels {
const cpu::ContractionKernels& contraction_kernels();
}
#else
namespace baseline::kernels {
const cpu::ContractionKernels& contraction_kernels();
}
#endif
}  // namespace fpdet
