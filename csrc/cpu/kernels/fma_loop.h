// SPDX-License-Identifier: MIT
// The multiply-add loop of each instruction set: `steps` float32 vector multiply-adds in each of
// several independent chains; returns how many floating-point operations they were. *sum keeps them
// from being left out.
#pragma once

#include <cstdint>

#include "../../core/config.h"

// Defined by fma_loop.cpp, compiled once per name.
namespace fpdet {
inline namespace FPDET_TARGET {}
#if defined(__x86_64__)
namespace avx2::kernels {
int64_t fma_loop(int64_t steps, float* sum);
}
namespace avx512::kernels {
int64_t fma_loop(int64_t steps, float* sum);
}
#else
namespace baseline::kernels {
int64_t fma_loop(int64_t steps, float* sum);
}
#endif
}  // namespace fpdet
