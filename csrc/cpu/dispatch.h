// SPDX-License-Identifier: MIT
// Which instruction set the CPU kernels use: the widest the machine has, or the one that
// FPDET_CPU or set_instruction_set() names, "portable" being the slow path alone. A speed knob:
// results are the same.
#pragma once

#include <string>
#include <vector>

#include "kernels/adam_table.h"
#include "kernels/carried_sums.h"
#include "kernels/elementwise_table.h"
#include "kernels/fma_loop.h"
#include "kernels/functions_table.h"
#include "kernels/gather_table.h"
#include "kernels/table.h"

namespace fpdet::cpu {

/// Those with kernels that this machine can run, widest first.
std::vector<std::string> instruction_sets();
std::string instruction_set();
bool has_kernels();
/// "" goes back to the automatic choice. Throws std::invalid_argument for an unknown name or one
/// that the machine lacks (so does every first use when FPDET_CPU holds such a name).
void set_instruction_set(const std::string& name);

const ContractionKernels& contraction_kernels();
/// The same, or those of half the vectors' width where they do the task better. Counts in it.
const ContractionKernels& contraction_kernels_for(void* task);
const ElementwiseKernels& elementwise_kernels();
UnaryKernel unary_kernel();
AdamKernel adam_kernel();
const GatherKernels& gather_kernels();

/// kernels/fma_loop.h of the instruction set in use.
int64_t fma_loop(int64_t steps, float* sum);

/// kernels/carried_sums.h of the instruction set in use; null for portable.
void (*carried_sums())(const CarriedTask&);

}  // namespace fpdet::cpu
