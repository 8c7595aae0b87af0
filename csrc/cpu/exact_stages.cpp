// SPDX-License-Identifier: MIT
#include "exact_stages.h"

namespace fpdet::cpu {
namespace {

int64_t counters[kExactStages];

}  // namespace

int64_t* exact_stage_counters() { return counters; }

std::array<int64_t, kExactStages> take_exact_stages() {
  std::array<int64_t, kExactStages> counts;
  for (size_t i = 0; i < counts.size(); ++i) {
    counts[i] = __atomic_exchange_n(counters + i, 0, __ATOMIC_RELAXED);
  }
  return counts;
}

}  // namespace fpdet::cpu
