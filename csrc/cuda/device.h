// SPDX-License-Identifier: MIT
// What this build holds for NVIDIA GPUs.
#pragma once

namespace fpdet::cuda {

/// As TORCH_CUDA_ARCH_LIST has them; by the build (csrc/build/plan.py).
#if defined(FPDET_CUDA_ARCHITECTURES)
inline constexpr const char* kArchitectures = FPDET_CUDA_ARCHITECTURES;
#else
inline constexpr const char* kArchitectures = "";
#endif

}  // namespace fpdet::cuda
