// SPDX-License-Identifier: MIT
// From torch to csrc/cuda: the current stream of a tensor's device, memory of torch's allocator.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <functional>
#include <stdexcept>
#include <string>

#include "../cuda/machine.h"

namespace fpdet::torch_ops {

using torch::stable::Tensor;

/// Whether this build has kernels for NVIDIA GPUs.
#if defined(FPDET_HAS_CUDA)
inline constexpr bool kHasCuda = true;
#else
inline constexpr bool kHasCuda = false;
#endif

/// The message that Python turns into torch.OutOfMemoryError (fpdet/_interrupt.py).
inline constexpr const char* kOutOfMemory = "fpdet: out of memory";

/// make(), which asks torch's allocator for memory: its stable interface loses the error's type and
/// words on the way.
template <class Make>
auto allocated(const char* what, int64_t bytes, const Make& make) {
  try {
    return make();
  } catch (const std::exception& error) {
    throw std::runtime_error(std::string(kOutOfMemory) + ": torch's allocator refused " +
                             std::to_string(bytes) + " bytes for " + what + ": " + error.what());
  }
}

/// Calls `launch` with the surroundings of `like`'s device. `describe` says what the op is, for
/// error messages. Scratch goes back to torch when all is launched: its allocator hands it out
/// again on the same stream only.
void on_gpu(const Tensor& like, const std::function<std::string()>& describe,
            const std::function<void(const cuda::Surroundings&)>& launch);

}  // namespace fpdet::torch_ops
