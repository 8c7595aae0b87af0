// SPDX-License-Identifier: MIT
// The inner loop of arithmetic that the processor does not have (stochastic, nearest_away, to_odd;
// narrow accumulators under any rounding): a vector of outputs in float64 lanes, each operation
// done there and rounded by core on the bit pattern. As micro.h, step by step of a chunk.
#pragma once

#include "emulated_lanes.h"
#include "plan.h"
#include "step.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int kEmulatedChains = 2;  ///< vectors in flight, to hide latencies
inline constexpr int kEmulatedLanes = kEmulatedChains * kDoubleLanes;

struct EmulatedArguments {
  const float* left;       ///< [term]
  const double* right;     ///< [term][kEmulatedLanes]
  const int64_t* numbers;  ///< of the terms: their random bits hang on them
  const Step* steps;
  int64_t step_count;
  double* stack;        ///< [level][kEmulatedLanes]
  int64_t combination;  ///< event of the chunk's first one
  LaneRandom random[kEmulatedChains];
};

/// One chunk of one row and kEmulatedLanes columns.
template <class Ops>
__attribute__((noinline)) void emulated(const EmulatedArguments& a, const Ops& given) {
  static_assert(kEmulatedChains == 2);
  constexpr int64_t kAhead = 32;                                // terms drawn for at a time
  constexpr int64_t kPlaces = (kAhead + 16) * Ops::kDraws + 1;  // whole blocks of events
  Words biases0[kPlaces], biases1[kPlaces];
  const Ops ops = given;
  LaneRandom random0 = a.random[0], random1 = a.random[1];
  int64_t t = 0, event = a.combination;
  const auto load0 = [](const double* p) { return load_vector<Doubles>(p); };
  const auto load1 = [](const double* p) { return load_vector<Doubles>(p + kDoubleLanes); };
  for (const Step *step = a.steps, *end = step + a.step_count; step != end; ++step) {
    double* place = a.stack + step->level * kEmulatedLanes;
    Doubles acc0{}, acc1{};
    if (!step->begins) {
      acc0 = load0(place);
      acc1 = load1(place);
    }
    for (const int64_t last = t + step->count; t < last;) {
      const int64_t first = t, n = at_most(last - t, kAhead);
      const int64_t skipped = ops.draw(a.numbers + first, n, random0, random1, biases0, biases1);
      for (int64_t i = 0; i < n; ++i, ++t) {
        const Doubles x = broadcast<double>(a.left[t]);
        const double* right = a.right + t * kEmulatedLanes;
        acc0 = ops.accumulate(acc0, x, load0(right), biases0 + skipped + i * Ops::kDraws,
                              a.numbers[t], random0);
        acc1 = ops.accumulate(acc1, x, load1(right), biases1 + skipped + i * Ops::kDraws,
                              a.numbers[t], random1);
      }
    }
    for (int f = 0; f < step->folds; ++f, ++event) {
      place -= kEmulatedLanes;
      acc0 = ops.add(load0(place), acc0, event, random0);
      acc1 = ops.add(load1(place), acc1, event, random1);
    }
    std::memcpy(place, &acc0, sizeof acc0);
    std::memcpy(place + kDoubleLanes, &acc1, sizeof acc1);
  }
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
