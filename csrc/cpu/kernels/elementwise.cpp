// SPDX-License-Identifier: MIT
// The elementwise kernels of one instruction set, as a table of functions. Takes nothing out of
// line from the standard library (see contraction.cpp).
#include "../../core/environment.h"
#include "binary.h"
#include "elementwise_table.h"
#include "emulated_elementwise.h"
#include "round.h"
#include "sgd.h"

namespace fpdet::inline FPDET_TARGET::kernels {

const cpu::ElementwiseKernels& elementwise_kernels() {
  static constexpr cpu::ElementwiseKernels kKernels{
      [](const void* task, int64_t begin, int64_t end) {
        run_round(*static_cast<const RoundTask*>(task), begin, end);
      },
      [](const void* task, const cpu::BinaryRow* rows, int64_t count) {
        const BinaryTask& binary = *static_cast<const BinaryTask*>(task);
        binary.emulated ? run_emulated_binary(binary, rows, count)
                        : run_binary(binary, rows, count);
      },
      [](const void* task, const void* pointers, int64_t begin, int64_t end) {
        const SgdTask& sgd = *static_cast<const SgdTask*>(task);
        const SgdPointers& tensor = *static_cast<const SgdPointers*>(pointers);
        sgd.emulated ? run_emulated_sgd(sgd, tensor, begin, end) : run_sgd(sgd, tensor, begin, end);
      }};
  return kKernels;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
