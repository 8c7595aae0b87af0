// SPDX-License-Identifier: MIT
// A contraction on a GPU, from call to launches: tiles where they cover it, else the slow path.
#pragma once

#include "exact.h"
#include "slow_contraction.h"
#include "tile_steps.h"

namespace fpdet::cuda {

/// Whether calls of this element type and arithmetic have kernels made for them.
inline bool fast_contraction_covers(const ContractionCall& call) {
  return tiles_cover(call) || exact_covers(call);
}

/// One problem, without rest.
template <class Machine>
void one_contraction(const ContractionCall& call, Machine& machine) {
  if (call.problem.outputs() == 0) return;
  if (!fast_contraction_covers(call) || !tiles_cover(call.problem)) {
    return slow_contraction(call, machine);
  }
  if (call.order.exact()) return exact_contraction(call, machine);
  if (call.scalar == Scalar::Float64) {
    tiled_contraction<double>(call, machine);
  } else {
    tiled_contraction<float>(call, machine);
  }
}

template <class Machine>
void any_contraction(const ContractionCall& call, Machine& machine) {
  for (size_t i = 0; i <= call.rest.size(); ++i) one_contraction(part_of(call, i), machine);
}

}  // namespace fpdet::cuda
