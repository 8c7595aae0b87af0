// SPDX-License-Identifier: MIT
// What this machine can do at most: multiply-adds that wait for nothing but one another. The
// benchmark divides by it.
#include "fma_loop.h"

#include "vec.h"

namespace fpdet::inline FPDET_TARGET::kernels {

int64_t fma_loop(int64_t steps, float* sum) {
  constexpr int kChains = 12;  // at least latency x units; with two operands they fill 16 registers
  V<float> chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = broadcast(static_cast<float>(i));
  const V<float> factor = broadcast(0.5f), term = broadcast(1.0f);
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chain[i] = fma<float>(chain[i], factor, term);
  }
  for (int i = 1; i < kChains; ++i) chain[0] += chain[i];
  *sum = chain[0][0];
  return 2 * steps * kChains * kLanes<float>;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
