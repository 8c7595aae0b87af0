// SPDX-License-Identifier: MIT
#include <cuda_runtime.h>

#include <stdexcept>

#include "device.h"
#include "machine.h"

namespace fpdet::cuda {
namespace {

int attribute(cudaDeviceAttr name, int device) {
  int value = 0;
  if (cudaDeviceGetAttribute(&value, name, device) != cudaSuccess) cudaGetLastError();
  return value;
}

}  // namespace

Machine::Machine(const Surroundings& surroundings) : surroundings_(surroundings) {
  check(static_cast<int>(cudaSetDevice(surroundings.device)));
  multiprocessors_ = attribute(cudaDevAttrMultiProcessorCount, surroundings.device);
  if (multiprocessors_ < 1) multiprocessors_ = 1;
}

void Machine::check(int status) {
  const auto error = static_cast<cudaError_t>(status);
  if (error == cudaSuccess) return;
  cudaGetLastError();  // not to be found by somebody else
  std::string message = "fpdet: " + surroundings_.describe() +
                        ": CUDA refused the launch: " + cudaGetErrorString(error);
  if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorUnsupportedPtxVersion ||
      error == cudaErrorInvalidDeviceFunction) {
    const int major = attribute(cudaDevAttrComputeCapabilityMajor, surroundings_.device);
    const int minor = attribute(cudaDevAttrComputeCapabilityMinor, surroundings_.device);
    message += "; expected a GPU and driver for one of the architectures " +
               std::string(kArchitectures) + ", got compute capability " + std::to_string(major) +
               "." + std::to_string(minor) + ": build with it in TORCH_CUDA_ARCH_LIST";
  }
  throw std::runtime_error(message);
}

}  // namespace fpdet::cuda
