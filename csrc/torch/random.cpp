// SPDX-License-Identifier: MIT
// The random words themselves, for what a network draws besides its roundings: initial weights,
// dropout masks, permutations (docs/semantics.md, "Random bits").
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "../calls/random_words.h"
#include "../cuda/ops.h"
#include "check.h"
#include "parallel.h"

namespace fpdet::torch_ops {
namespace {

constexpr int64_t kGrain = 4096;
constexpr int64_t kMaxWords = 1 << 20;

// `where` the words are written.
void run(const RandomWordsCall& call, [[maybe_unused]] const Tensor& where) {
#if defined(FPDET_HAS_CUDA)
  if (where.is_cuda()) {
    return on_gpu(
        where, [&] { return std::to_string(where.numel()) + " random words"; },
        [&](const cuda::Surroundings& gpu) { cuda::random_words(call, gpu); });
  }
#endif
  cpu::for_each_piece(parallel_for, call.samples * call.elements, kGrain,
                      [&](int64_t begin, int64_t end) {
                        for (int64_t i = begin; i < end; ++i) {
                          write_random_words(call, call.draw, i);
                        }
                      });
}

/// An int64 tensor (samples, elements, words) where `draw` lies; word e of element i of sample n is
/// the 32-bit R of event first_event + e.
Tensor random_words(const Tensor& draw, int64_t samples, int64_t elements, int64_t words,
                    int64_t first_event, int64_t pass_tag, int64_t batch_offset) {
  STD_TORCH_CHECK(samples >= 0 && elements >= 0 && words >= 1 && words <= kMaxWords,
                  "fpdet: random_words: expected sizes of at least 0, 0 and 1, got ", samples, ", ",
                  elements, ", ", words);
  check_device(draw, "draw");
  const Tensor result = torch::stable::new_empty(draw, {samples, elements, words});
  const RandomWordsCall call{draw_from(draw, StochasticSpec{}, pass_tag, batch_offset, &draw),
                             samples,
                             elements,
                             words,
                             first_event,
                             static_cast<int64_t*>(result.mutable_data_ptr())};
  if (result.numel() > 0) run(call, result);
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fpdet, CPU, m) { m.impl("random_words", TORCH_BOX(&random_words)); }
#if defined(FPDET_HAS_CUDA)
STABLE_TORCH_LIBRARY_IMPL(fpdet, CUDA, m) { m.impl("random_words", TORCH_BOX(&random_words)); }
#endif

}  // namespace fpdet::torch_ops
