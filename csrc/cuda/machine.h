// SPDX-License-Identifier: MIT
// Where kernels are launched: a stream of a device. Steps of an op (contraction_steps.h ...) are
// templates over the machine, so that the emulator runs them too. No CUDA header is needed here.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "block.h"

namespace fpdet::cuda {

struct Surroundings {
  void* stream = nullptr;  ///< a cudaStream_t
  int device = 0;
  /// Memory of the device that lives until the stream has used it.
  std::function<void*(int64_t bytes)> allocate;
  /// The call, for error messages.
  std::function<std::string()> describe;
};

/// Makes the surroundings' device the current one of this library's CUDA runtime, and leaves it so:
/// whoever surrounds the call has a guard of its own. Nothing here waits for the device.
class Machine {
 public:
  explicit Machine(const Surroundings& surroundings);
  ~Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  int64_t multiprocessors() const { return multiprocessors_; }
  template <class T>
  T* allocate(int64_t count) {
    return static_cast<T*>(surroundings_.allocate(count * static_cast<int64_t>(sizeof(T))));
  }
  /// Throws std::runtime_error, with the call's words, where the launch is refused; the runtime's
  /// error state is clear afterwards. Instantiated in the .cu files.
  template <class Kernel>
  void launch(int64_t blocks, const typename Kernel::Task& task);

 private:
  void check(int status);  ///< of a launch

  const Surroundings& surroundings_;
  int64_t multiprocessors_ = 1;
};

/// Blocks for `count` items of one thread each: no more than fill the machine a few times.
template <class Kernel, class AnyMachine>
int64_t blocks_for(const AnyMachine& machine, int64_t count) {
  const int64_t needed = (count + Kernel::kThreads - 1) / Kernel::kThreads;
  const int64_t useful = machine.multiprocessors() * (4096 / Kernel::kThreads);
  return needed < useful ? needed : useful;
}

}  // namespace fpdet::cuda
