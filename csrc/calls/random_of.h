// SPDX-License-Identifier: MIT
// Where the random bits of an op without a reduction come from (core/random.h): of a call that
// counts samples, element i is number i mod per_sample of sample batch_offset + i / per_sample.
#pragma once

#include <cstdint>

#include "../core/random.h"
#include "../core/rounding.h"
#include "contraction.h"

namespace fpdet::inline FPDET_TARGET {

/// The source of one element; unused unless the rounding draws.
FPDET_HD inline RandomBits random_of_element(const StochasticSpec& spec, Rounding rounding,
                                             const Draw& draw, uint32_t sample, int64_t element) {
  if (rounding != Rounding::Stochastic) return {};
  return {spec,
          element_key(draw.seed, draw.counter, draw.pass, sample, static_cast<uint64_t>(element))};
}

FPDET_HD inline RandomBits random_of(const StochasticSpec& spec, Rounding rounding,
                                     const Draw& draw, int64_t per_sample, int64_t i) {
  return random_of_element(spec, rounding, draw,
                           static_cast<uint32_t>(draw.batch_offset + i / per_sample),
                           i % per_sample);
}

}  // namespace fpdet::inline FPDET_TARGET
