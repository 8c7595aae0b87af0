// SPDX-License-Identifier: MIT
// What a kernel's body sees of the machine that runs it.
//
// A kernel is a struct:
//
//   Task          what it is given, by value
//   kThreads      threads of a block
//   kResident     blocks of a multiprocessor that its registers must leave room for
//   Shared        the block's shared memory (Nothing: none)
//   rounding()    of a task: the rounding of its ieee_* operations
//   run()         its body, for one thread: template over the block
//
// The body is compiled for the device with DeviceBlock and for the host with the emulator's block
// (tests/native/emulator.h), which runs every thread of a launch and checks the geometry.
#pragma once

#include <cstdint>

#include "../core/config.h"

#if defined(__CUDA_ARCH__)
#define FPDET_UNROLL_ALL _Pragma("unroll")
#else
#define FPDET_UNROLL_ALL
#endif

namespace fpdet::cuda {

struct Nothing {};

class DeviceBlock {
 public:
  FPDET_HD explicit DeviceBlock(void* shared) : shared_(shared) {}

#if defined(__CUDA_ARCH__)
  FPDET_HD int thread() const { return static_cast<int>(threadIdx.x); }
  FPDET_HD int64_t index() const { return blockIdx.x; }
  FPDET_HD int64_t count() const { return gridDim.x; }
  FPDET_HD void sync() const { __syncthreads(); }
  /// The value before.
  FPDET_HD int64_t add_to(int64_t* counter, int64_t n) const {
    return static_cast<int64_t>(atomicAdd(reinterpret_cast<unsigned long long*>(counter),
                                          static_cast<unsigned long long>(n)));
  }
#else  // the host's pass over device code
  FPDET_HD int thread() const { return 0; }
  FPDET_HD int64_t index() const { return 0; }
  FPDET_HD int64_t count() const { return 1; }
  FPDET_HD void sync() const {}
  FPDET_HD int64_t add_to(int64_t*, int64_t) const { return 0; }
#endif
  template <class Shared>
  FPDET_HD Shared& shared() const {
    return *static_cast<Shared*>(shared_);
  }

 private:
  void* shared_;
};

/// f(i) for this thread's share of [0, count): any launch covers any count.
template <class Kernel, class Block, class F>
FPDET_HD void for_share(const Block& block, int64_t count, F&& f) {
  const int64_t step = block.count() * Kernel::kThreads;
  for (int64_t i = block.index() * Kernel::kThreads + block.thread(); i < count; i += step) f(i);
}

}  // namespace fpdet::cuda
