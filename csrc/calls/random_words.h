// SPDX-License-Identifier: MIT
// The random words themselves (core/random.h), for what a network draws besides its roundings.
#pragma once

#include <cstdint>

#include "../core/random.h"
#include "contraction.h"

namespace fpdet::inline FPDET_TARGET {

/// out[n][i][e] = the 32-bit R of event first_event + e of element i of sample batch_offset + n.
struct RandomWordsCall {
  Draw draw;
  int64_t samples = 0, elements = 0, words = 0;
  int64_t first_event = 0;
  int64_t* out = nullptr;
};

/// The words of element i of all samples.
FPDET_HD inline void write_random_words(const RandomWordsCall& call, const Draw& draw, int64_t i) {
  const auto sample = static_cast<uint32_t>(draw.batch_offset + i / call.elements);
  RandomBits random(StochasticSpec{}, element_key(draw.seed, draw.counter, draw.pass, sample,
                                                  static_cast<uint64_t>(i % call.elements)));
  for (int64_t word = 0; word < call.words; ++word) {
    call.out[i * call.words + word] = random.at(call.first_event + word);
  }
}

}  // namespace fpdet::inline FPDET_TARGET
