// SPDX-License-Identifier: MIT
// The random words themselves, for what a network draws besides its roundings: initial weights,
// dropout masks, permutations (docs/semantics.md, "Random bits").
#include "../core/random.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <vector>

#include "check.h"
#include "parallel.h"

namespace fpdet::torch_ops {
namespace {

constexpr int64_t kGrain = 4096;
constexpr int64_t kMaxWords = 1 << 20;

/// An int64 tensor (samples, elements, words); word e of element i of sample n is the 32-bit R
/// of event first_event + e.
Tensor random_words(const Tensor& draw, int64_t samples, int64_t elements, int64_t words,
                    int64_t first_event, int64_t pass_tag, int64_t batch_offset) {
  STD_TORCH_CHECK(samples >= 0 && elements >= 0 && words >= 1 && words <= kMaxWords,
                  "fpdet: random_words: expected sizes of at least 0, 0 and 1, got ", samples, ", ",
                  elements, ", ", words);
  const StochasticSpec spec{};
  const cpu::Draw from = draw_from(draw, spec, pass_tag, batch_offset);
  const Tensor result = torch::stable::new_empty(draw, {samples, elements, words});
  auto* out = static_cast<int64_t*>(result.mutable_data_ptr());
  parallel_for(samples * elements, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto sample = static_cast<uint32_t>(from.batch_offset + i / elements);
      RandomBits random(spec, element_key(from.seed, from.counter, from.pass, sample,
                                          static_cast<uint64_t>(i % elements)));
      for (int64_t word = 0; word < words; ++word) {
        out[i * words + word] = random.at(first_event + word);
      }
    }
  });
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fpdet, CPU, m) { m.impl("random_words", TORCH_BOX(&random_words)); }

}  // namespace fpdet::torch_ops
