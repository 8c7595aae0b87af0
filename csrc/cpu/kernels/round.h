// SPDX-License-Identifier: MIT
// fpdet.round: patterns in, patterns out.
#pragma once

#include "../../core/environment.h"
#include "elementwise_task.h"
#include "lanes.h"
#include "random_lanes.h"
#include "round_float16.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class Layout>
using ValueOf = decltype(from_bits(typename Layout::Word{}));

/// N elements from `in` to `out`.
template <class Layout, Rounding R, bool Shrinks, int N, bool Stream, class S>
FPDET_INLINE void round_lanes(const PatternFormat<Layout>& format, const S* in, S* out,
                              LanesN<typename Layout::Word, N> random) {
  using Words = LanesN<typename Layout::Word, N>;
  using Values = LanesN<ValueOf<Layout>, N>;
  const Words x = reinterpret<Words>(load_values<ValueOf<Layout>, N>(in));
  const Words rounded = round_pattern<R, Shrinks>(x, format, random);
  put_members<Stream, N>(out, reinterpret<Values>(rounded));
}

template <class Layout, Rounding R, bool Shrinks, class S>
[[gnu::noinline]] void round_run(const RoundTask& task, const PatternFormat<Layout>& given,
                                 int64_t begin, int64_t end) {
  constexpr bool kDraws = R == Rounding::Stochastic;
  constexpr int N = kFull<typename Layout::Word>;
  constexpr int kVectors = kDraws ? kChains : 1;
  constexpr int kStep = N * kVectors;
  const PatternFormat<Layout> format = given;
  const S* in = static_cast<const S*>(task.x);
  S* out = static_cast<S*>(task.out);
  RandomRuns runs(task.source);
  const auto step = [&]<bool Stream>(int64_t i, const S* from, S* to) {
    LanesN<typename Layout::Word, N> random[kVectors] = {};
    if constexpr (kDraws) {
      static_assert(kVectors == 2);
      const RandomWords bits = random_bits(format.spec, runs.of(i), 0);
      random[0] = bits.a.v;
      random[1] = bits.b.v;
    }
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      round_lanes<Layout, R, Shrinks, N, Stream>(format, from + v * N, to + v * N, random[v]);
    }
  };
  for_vectors<kStep>(
      task.stream, out, begin, end,
      [&]<bool Stream>(int64_t i) { step.template operator()<Stream>(i, in + i, out + i); },
      [&](int64_t i, int64_t count) {
        Edge<S, kStep> edge(in + i, count);
        step.template operator()<false>(i, edge.data(), edge.data());
        edge.store(out + i, count);
      });
}

inline void run_round(const RoundTask& task, int64_t begin, int64_t end) {
#if defined(__F16C__)
  if (rounds_to_float16(task)) return round_float16_run(task, begin, end);
#endif
  const EnvironmentGuard guard(Rounding::NearestEven);
  with_scalar(task.scalar, [&]<class S>(S) {
    if (task.wide) {
      with_pattern_format(task.format64, [&]<Rounding R, bool Shrinks>() {
        // Float32 lanes serve narrower elements under every other rounding.
        if constexpr (R == Rounding::Stochastic || __is_same(S, double)) {
          round_run<Binary64, R, Shrinks, S>(task, task.format64, begin, end);
        }
      });
    } else {
      with_pattern_format(task.format32, [&]<Rounding R, bool Shrinks>() {
        if constexpr (R != Rounding::Stochastic && !__is_same(S, double)) {
          round_run<Binary32, R, Shrinks, S>(task, task.format32, begin, end);
        }
      });
    }
  });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
