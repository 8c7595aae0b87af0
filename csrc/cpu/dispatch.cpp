// SPDX-License-Identifier: MIT
#include "dispatch.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace fpdet::cpu {
namespace {

struct InstructionSet {
  const char* name;
  bool (*present)();
  const ContractionKernels& (*contraction)();
  const ElementwiseKernels& (*elementwise)();
  const GatherKernels& (*gather)();
  UnaryKernel unary;
  AdamKernel adam;
  int64_t (*fma_loop)(int64_t steps, float* sum);
  void (*carried_sums)(const CarriedTask& task);
  const ContractionKernels& (*half)() = nullptr;  ///< of half the vectors' width, where built
};

constexpr ContractionKernels kNoContraction{[](void*) { return false; },
                                            [](void*) { return false; },
                                            nullptr,
                                            nullptr,
                                            [](int) -> const char* { return nullptr; },
                                            [](void*) { return false; }};
constexpr ElementwiseKernels kNoElementwise{nullptr, nullptr, nullptr};
constexpr GatherKernels kNoGather{nullptr};

/// Those that the build compiled kernels for, widest first. "portable" has no kernels: everything
/// takes the slow path.
const InstructionSet kSets[] = {
#if defined(FPDET_HAS_AVX512)
    {"avx512",
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
     },
     avx512::kernels::contraction_kernels, avx512::kernels::elementwise_kernels,
     avx512::kernels::gather_kernels, avx512::kernels::unary, avx512::kernels::adam,
     avx512::kernels::fma_loop, avx512::kernels::carried_sums,
#if defined(FPDET_HAS_AVX2)
     avx2::kernels::contraction_kernels
#endif
    },
#endif
#if defined(FPDET_HAS_AVX2)
    {"avx2",
     [] {
       return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("f16c");
     },
     avx2::kernels::contraction_kernels, avx2::kernels::elementwise_kernels,
     avx2::kernels::gather_kernels, avx2::kernels::unary, avx2::kernels::adam,
     avx2::kernels::fma_loop, avx2::kernels::carried_sums},
#endif
#if defined(FPDET_HAS_BASELINE)
    {"baseline", [] { return true; }, baseline::kernels::contraction_kernels,
     baseline::kernels::elementwise_kernels, baseline::kernels::gather_kernels,
     baseline::kernels::unary, baseline::kernels::adam, baseline::kernels::fma_loop,
     baseline::kernels::carried_sums},
#endif
    {"portable", [] { return true; }, []() -> const ContractionKernels& { return kNoContraction; },
     []() -> const ElementwiseKernels& { return kNoElementwise; },
     []() -> const GatherKernels& { return kNoGather; }, nullptr, nullptr, nullptr, nullptr},
};

const InstructionSet& find(const std::string& name, const std::string& source) {
  std::string known;
  for (const InstructionSet& set : kSets) {
    if (name == set.name) {
      if (set.present()) return set;
      throw std::invalid_argument(source + ": this machine lacks " + name);
    }
    known += known.empty() ? set.name : std::string(", ") + set.name;
  }
  throw std::invalid_argument(source + ": expected one of " + known + "; got '" + name + "'");
}

const InstructionSet& automatic() {
  const char* wish = std::getenv("FPDET_CPU");
  if (wish != nullptr && *wish != '\0') return find(wish, "FPDET_CPU");
  for (const InstructionSet& set : kSets) {
    if (set.present()) return set;
  }
  throw std::logic_error("no instruction set");  // portable is always present
}

std::atomic<const InstructionSet*> chosen{nullptr};

const InstructionSet& current() {
  const InstructionSet* set = chosen.load();
  if (set == nullptr) {
    set = &automatic();
    chosen.store(set);
  }
  return *set;
}

}  // namespace

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const InstructionSet& set : kSets) {
    if (set.present() && set.fma_loop != nullptr) names.emplace_back(set.name);
  }
  return names;
}

std::string instruction_set() { return current().name; }

void set_instruction_set(const std::string& name) {
  chosen.store(name.empty() ? &automatic() : &find(name, "set_instruction_set"));
}

const ContractionKernels& contraction_kernels() { return current().contraction(); }
const ContractionKernels& contraction_kernels_for(void* task) {
  const InstructionSet& set = current();
  const ContractionKernels& own = set.contraction();
  return set.half != nullptr && own.suits_half(task) ? set.half() : own;
}
const ElementwiseKernels& elementwise_kernels() { return current().elementwise(); }
UnaryKernel unary_kernel() { return current().unary; }
AdamKernel adam_kernel() { return current().adam; }

const GatherKernels& gather_kernels() { return current().gather(); }

bool has_kernels() { return current().fma_loop != nullptr; }

int64_t fma_loop(int64_t steps, float* sum) {
  if (!has_kernels()) throw std::invalid_argument("fma_loop: portable has no kernels");
  return current().fma_loop(steps, sum);
}

void (*carried_sums())(const CarriedTask&) { return current().carried_sums; }

}  // namespace fpdet::cpu
