// SPDX-License-Identifier: MIT
// How many outputs of order exact each stage settled (core/exact_stages.h), over all threads.
#pragma once

#include <array>
#include <cstdint>

#include "../core/exact_stages.h"

namespace fpdet::cpu {

/// The counters, written with __atomic_fetch_add.
int64_t* exact_stage_counters();

/// What they counted since the last call.
std::array<int64_t, kExactStages> take_exact_stages();

}  // namespace fpdet::cpu
