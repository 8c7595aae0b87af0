// SPDX-License-Identifier: MIT
// Knobs and probes: the instruction set, method and tile sizes in use, the floating-point
// environment (MXCSR, FPCR) of every thread of torch's pool, and what benchmarks ask for. None of
// them may change a result; tests turn them to show it.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

#include "../core/environment.h"
#include "../cpu/dispatch.h"
#include "../cpu/exact_stages.h"
#include "../cpu/fast_contraction.h"
#include "../cpu/kernels/task.h"

namespace fpdet::torch_ops {
namespace {

std::vector<std::string> instruction_sets() { return cpu::instruction_sets(); }

std::string instruction_set() { return cpu::instruction_set(); }

/// "" chooses the widest. The one in use from now on.
std::string set_instruction_set(std::string name) {
  try {
    cpu::set_instruction_set(name);
  } catch (const std::invalid_argument& error) {
    STD_TORCH_CHECK(false, error.what());
  }
  return cpu::instruction_set();
}

std::vector<std::string> contraction_methods() { return cpu::contraction_methods(); }

/// 0 and "" give a choice back to the plan. A method that does not cover a call leaves it to the
/// slow path.
void set_contraction_knobs(int64_t columns, int64_t terms, int64_t rows, int64_t workers,
                           std::string method) {
  cpu::set_knobs({columns, terms, rows, workers, method});
}

/// f(thread) once on each thread of the pool: a static loop of as many items as threads.
template <class F>
void on_every_thread(const F& f) {
  const auto threads = static_cast<int64_t>(torch::stable::get_num_threads());
  torch::stable::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(static_cast<size_t>(i));
  });
}

std::vector<int64_t> read_environments() {
  std::vector<int64_t> values(torch::stable::get_num_threads());
  on_every_thread([&](size_t i) { values[i] = static_cast<int64_t>(read_environment()); });
  return values;
}

void write_environments(int64_t value) {
  on_every_thread([&](size_t) { write_environment(static_cast<uint64_t>(value)); });
}

/// Multiply-adds at full speed on every thread at once; how many floating-point operations in all.
int64_t fma_loop(int64_t steps) {
  std::atomic<int64_t> operations{0};
  on_every_thread([&](size_t) {
    float sum;
    operations += cpu::fma_loop(steps, &sum);
  });
  return operations;
}

/// Outputs of order exact that each of its stages settled since the last call.
std::vector<int64_t> exact_stages() {
  const auto counts = cpu::take_exact_stages();
  return {counts.begin(), counts.end()};
}

/// Most bytes of a thread's scratch and of a packed operand since the last call, and the limit of
/// the first.
std::vector<int64_t> take_work_memory() {
  const cpu::WorkMemory most = cpu::take_work_memory();
  return {most.scratch, most.packed_left, kernels::kScratchLimit};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fpdet, CompositeExplicitAutograd, m) {
  m.impl("instruction_sets", TORCH_BOX(&instruction_sets));
  m.impl("instruction_set", TORCH_BOX(&instruction_set));
  m.impl("set_instruction_set", TORCH_BOX(&set_instruction_set));
  m.impl("contraction_methods", TORCH_BOX(&contraction_methods));
  m.impl("set_contraction_knobs", TORCH_BOX(&set_contraction_knobs));
  m.impl("read_environments", TORCH_BOX(&read_environments));
  m.impl("write_environments", TORCH_BOX(&write_environments));
  m.impl("fma_loop", TORCH_BOX(&fma_loop));
  m.impl("exact_stages", TORCH_BOX(&exact_stages));
  m.impl("take_work_memory", TORCH_BOX(&take_work_memory));
}

}  // namespace fpdet::torch_ops
