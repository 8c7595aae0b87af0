// SPDX-License-Identifier: MIT
#include "gpu.h"

#include <dlfcn.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <vector>

#include "../cuda/device.h"

namespace fpdet::torch_ops {
namespace {

/// Only torch's CUDA build has this function (of its stable C interface), so it is looked up.
using GetStream = int32_t (*)(int32_t device, void** stream);

GetStream find_get_stream() {
  constexpr const char* kName = "aoti_torch_get_current_cuda_stream";
  void* found = dlsym(RTLD_DEFAULT, kName);
  if (found == nullptr) {
    // torch loads its libraries without lending their names to others.
    if (void* library = dlopen("libtorch_cuda.so", RTLD_LAZY | RTLD_NOLOAD)) {
      found = dlsym(library, kName);
      dlclose(library);
    }
  }
  return reinterpret_cast<GetStream>(found);
}

void* current_stream(int32_t device) {
  static const GetStream get_stream = find_get_stream();
  STD_TORCH_CHECK(get_stream != nullptr,
                  "fpdet: expected a torch with CUDA, whose library libtorch_cuda.so has "
                  "aoti_torch_get_current_cuda_stream; it was not found in this process");
  void* stream = nullptr;
  STD_TORCH_CHECK(get_stream(device, &stream) == 0,
                  "fpdet: torch has no current stream of CUDA device ", device);
  return stream;
}

std::string cuda_architectures() { return kHasCuda ? cuda::kArchitectures : ""; }

}  // namespace

void on_gpu(const Tensor& like, const std::function<std::string()>& describe,
            const std::function<void(const cuda::Surroundings&)>& launch) {
  const int32_t device = like.get_device_index();
  const torch::stable::accelerator::DeviceGuard guard(device);
  std::vector<Tensor> scratch;
  cuda::Surroundings surroundings;
  surroundings.stream = current_stream(device);
  surroundings.device = device;
  surroundings.allocate = [&](int64_t bytes) {
    scratch.push_back(allocated("work memory on a CUDA device", bytes, [&] {
      return torch::stable::empty({bytes}, torch::headeronly::ScalarType::Byte, std::nullopt,
                                  like.device(), std::nullopt, std::nullopt);
    }));
    return scratch.back().mutable_data_ptr();
  };
  surroundings.describe = describe;
  launch(surroundings);
}

STABLE_TORCH_LIBRARY_IMPL(fpdet, CompositeExplicitAutograd, m) {
  m.impl("cuda_architectures", TORCH_BOX(&cuda_architectures));
}

}  // namespace fpdet::torch_ops
