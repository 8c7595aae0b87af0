// SPDX-License-Identifier: MIT
// One step of a chunk (chunks.h): a piece of a run, or whole short runs (folded_micro.h).
#pragma once

#include <cstdint>

#include "../../core/config.h"

namespace fpdet::inline FPDET_TARGET::kernels {

struct Step {
  int32_t count;  ///< terms
  int32_t runs;   ///< 1, or a power of two: so many whole runs of equal length
  int32_t level;  ///< partials below this run's
  int32_t folds;  ///< combinations once the run is complete
  bool begins;    ///< the run starts here, at +0
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
