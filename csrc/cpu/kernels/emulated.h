// SPDX-License-Identifier: MIT
// The inner loop of arithmetic that the processor does not have (stochastic, nearest_away, to_odd;
// narrow accumulators under any rounding): a vector of outputs in float64 lanes, each operation
// done there and rounded by core on the bit pattern. As micro.h, step by step of a chunk.
#pragma once

#include "emulated_ops.h"
#include "plan.h"
#include "step.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int kEmulatedVectors = 2;  ///< of a unit
inline constexpr int kEmulatedLanes = kEmulatedVectors * kDoubleLanes;
inline constexpr int kEmulatedUnits = 2;  ///< at a time, to hide latencies
static_assert(kEmulatedLanes == kLanes<float>, "a packed vector of elements");

/// A row and kEmulatedLanes columns.
struct EmulatedUnit {
  const double* left;  ///< [term]
  const float* right;  ///< [term][kEmulatedLanes]
  double* stack;       ///< [level][kEmulatedLanes]
  EventSource* source;
};

struct EmulatedArguments {
  EmulatedUnit units[kEmulatedUnits];
  int count;               ///< of the units; those beyond it repeat the first
  const int64_t* numbers;  ///< of the terms: their random bits hang on them
  const Step* steps;
  int64_t step_count;
  int64_t combination;  ///< event of the chunk's first one
};

/// Of a unit. Members, not an array: g++ 12 copies that through memory.
struct EmulatedSums {
  Doubles a, b;
};
FPDET_INLINE EmulatedSums load_sums(const double* p) {
  return {load_vector<Doubles>(p), load_vector<Doubles>(p + kDoubleLanes)};
}

/// Adds a term, of number `number`.
template <class Ops, class Random>
FPDET_INLINE void add_term(const Ops& ops, const EmulatedUnit& unit, int64_t t, int64_t number,
                           const Words* biases_a, const Words* biases_b, EmulatedSums& sums,
                           Random& random_a, Random& random_b) {
  const Doubles x = broadcast<double>(unit.left[t]);
  const float* right = unit.right + t * kEmulatedLanes;
  sums.a = ops.accumulate(sums.a, x, load_doubles(right), biases_a, number, random_a);
  sums.b =
      ops.accumulate(sums.b, x, load_doubles(right + kDoubleLanes), biases_b, number, random_b);
}

/// One chunk of some units.
template <class Ops>
__attribute__((noinline)) void emulated(const EmulatedArguments& a, const Ops& given) {
  static_assert(kEmulatedUnits == 2);
  constexpr int64_t kAhead = 32;                                // terms drawn for at a time
  constexpr int64_t kPlaces = (kAhead + 16) * Ops::kDraws + 1;  // whole blocks of events
  // So many terms from a sum's beginning on, which may be zeros, are not attempted.
  constexpr int64_t kBeginning = Ops::kDraws > 0 ? 8 : 0;
  Words biases[kEmulatedUnits][kEmulatedVectors][kPlaces];
  const Ops ops = given;
  const CutWords<Words> cut = as_vectors(given.cut());
  const EmulatedUnit unit0 = a.units[0], unit1 = a.units[1];
  const auto& [a0, b0] = biases[0];
  const auto& [a1, b1] = biases[a.count - 1];
  int64_t t = 0, event = a.combination;
  for (const Step *step = a.steps, *end = step + a.step_count; step != end; ++step) {
    int64_t level = step->level;
    EmulatedSums sums[kEmulatedUnits]{};
    for (int u = 0; u < a.count && !step->begins; ++u) {
      sums[u] = load_sums(a.units[u].stack + level * kEmulatedLanes);
    }
    int64_t patient = !given.attempts() ? step->count : step->begins ? kBeginning : 0;
    for (const int64_t last = t + step->count; t < last;) {
      const int64_t n = at_most(last - t, kAhead);
      int64_t skipped = 0;
      for (int u = 0; u < a.count; ++u) {
        skipped = ops.draw(a.numbers + t, n, *a.units[u].source, biases[u][0], biases[u][1]);
      }
      const auto add_slowly = [&](int64_t from, int64_t to) {
        for (int u = 0; u < a.count; ++u) {
          EmulatedSums s = sums[u];
          EventSource& source = *a.units[u].source;
          for (int64_t i = from; i < to; ++i) {
            const int64_t at = skipped + i * Ops::kDraws;
            add_term(ops, a.units[u], t + i, a.numbers[t + i], biases[u][0] + at, biases[u][1] + at,
                     s, source.a, source.b);
          }
          sums[u] = s;
        }
      };
      const int64_t slow = at_most(patient, n);
      patient -= slow;
      if (slow > 0) add_slowly(0, slow);
      EmulatedSums s0 = sums[0], s1 = sums[1];
      Attempt attempt(cut);
      for (int64_t i = slow; i < n; ++i) {
        const int64_t at = skipped + i * Ops::kDraws;
        add_term(ops, unit0, t + i, 0, a0 + at, b0 + at, s0, attempt, attempt);
        add_term(ops, unit1, t + i, 0, a1 + at, b1 + at, s1, attempt, attempt);
      }
      if (Ops::kDraws > 0 && __builtin_expect(any_doubtful(attempt.doubtful), 0)) {
        add_slowly(slow, n);
      } else {
        sums[0] = s0;
        sums[1] = s1;
      }
      t += n;
    }
    for (int f = 0; f < step->folds; ++f, ++event) {
      --level;
      for (int u = 0; u < a.count; ++u) {
        const EmulatedSums before = load_sums(a.units[u].stack + level * kEmulatedLanes);
        sums[u].a = ops.add(before.a, sums[u].a, event, a.units[u].source->a);
        sums[u].b = ops.add(before.b, sums[u].b, event, a.units[u].source->b);
      }
    }
    for (int u = 0; u < a.count; ++u) {
      std::memcpy(a.units[u].stack + level * kEmulatedLanes, &sums[u], sizeof sums[u]);
    }
  }
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
