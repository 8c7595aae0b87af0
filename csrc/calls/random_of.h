// SPDX-License-Identifier: MIT
// Where the random bits of an elementwise op come from (core/random.h).
#pragma once

#include <cstdint>

#include "../core/random.h"
#include "../core/rounding.h"
#include "contraction.h"

namespace fpdet::inline FPDET_TARGET {

/// Of the elements of one tensor; draws nothing unless the rounding does.
class ElementwiseSource {
 public:
  /// Element 0 stands at position `first` of tensor number `tensor`.
  FPDET_HD ElementwiseSource(const StochasticSpec& spec, Rounding rounding, const Draw& draw,
                             uint32_t tensor, uint64_t first)
      : spec_(spec), first_(first), draws_(rounding == Rounding::Stochastic) {
    if (draws_) k1_ = sample_key(draw.seed, draw.counter, draw.pass, tensor);
  }

  FPDET_HD ElementwiseBits of(int64_t i) const {
    if (!draws_) return {};
    return {spec_, k1_, first_ + static_cast<uint64_t>(i)};
  }

 private:
  StochasticSpec spec_;
  PhiloxBlock k1_{};
  uint64_t first_;
  bool draws_;
};

/// Position of element 0 of a call that counts samples.
FPDET_HD inline uint64_t first_position(const Draw& draw, int64_t per_sample) {
  return static_cast<uint64_t>(draw.batch_offset) * static_cast<uint64_t>(per_sample);
}

/// Of a call that counts samples.
FPDET_HD inline ElementwiseSource source_of(const StochasticSpec& spec, Rounding rounding,
                                            const Draw& draw, int64_t per_sample) {
  return {spec, rounding, draw, 0, first_position(draw, per_sample)};
}

}  // namespace fpdet::inline FPDET_TARGET
