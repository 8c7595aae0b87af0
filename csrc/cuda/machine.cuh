// SPDX-License-Identifier: MIT
// Machine::launch for the kernels of a .cu file: FPDET_LAUNCHES(kernel).
#pragma once

#include "machine.h"

namespace fpdet::cuda {

template <class Shared>
inline constexpr size_t kSharedBytes = sizeof(Shared);
template <>
inline constexpr size_t kSharedBytes<Nothing> = 16;

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads, Kernel::kResident)
    entry(const __grid_constant__ typename Kernel::Task task) {
  __shared__ __align__(16) unsigned char memory[kSharedBytes<typename Kernel::Shared>];
  DeviceBlock block(memory);
  Kernel::run(task, block);
}

template <class Kernel>
void Machine::launch(int64_t blocks, const typename Kernel::Task& task) {
  if (blocks <= 0) return;
  entry<Kernel><<<static_cast<unsigned>(blocks), Kernel::kThreads, 0,
                  static_cast<cudaStream_t>(surroundings_.stream)>>>(task);
  check(static_cast<int>(cudaGetLastError()));
}

}  // namespace fpdet::cuda

#define FPDET_LAUNCHES(...) \
  template void fpdet::cuda::Machine::launch<__VA_ARGS__>(int64_t, const __VA_ARGS__::Task&);
