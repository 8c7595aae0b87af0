// SPDX-License-Identifier: MIT
// fpdet.round: patterns in, patterns out.
#pragma once

#include "../../core/environment.h"
#include "conversion.h"
#include "random_lanes.h"
#include "round_float16.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class Layout>
using ValueOf = decltype(from_bits(typename Layout::Word{}));

template <class Layout, Rounding R, bool Shrinks, class S>
[[gnu::noinline]] void round_run(const RoundTask& task, const PatternFormat<Layout>& given,
                                 int64_t begin, int64_t end) {
  constexpr int N = kFull<typename Layout::Word>;
  const PatternFormat<Layout> format = given;
  const S* in = static_cast<const S*>(task.x);
  S* out = static_cast<S*>(task.out);
  using Words = LanesN<typename Layout::Word, N>;
  const auto step = [&]<bool Stream>(const S* from, S* to) {
    const auto x = reinterpret<Words>(load_values<ValueOf<Layout>, N>(from));
    const Words rounded = round_pattern<R, Shrinks>(x, format, Words{});
    put_members<Stream, N>(to, reinterpret<LanesN<ValueOf<Layout>, N>>(rounded));
  };
  map_vectors<N>(task.stream, in, out, begin, end, step);
}

/// Is a < b in any lane?
template <class U>
FPDET_INLINE bool any_less(U a, U b) {
#if defined(__AVX512F__)
  if constexpr (sizeof(U) == 64 && sizeof(a[0]) == 4) {
    return _mm512_cmplt_epu32_mask(reinterpret<__m512i>(a), reinterpret<__m512i>(b)) != 0;
  }
#endif
  return any(reinterpret<Words>(a < b));
}

/// `count` elements, whole vectors, from their random words.
template <class Layout, bool Shrinks, bool Stream, class S>
[[gnu::noinline]] void round_drawn(const PatternFormat<Layout>& given, const uint32_t* words,
                                   const S* in, S* out, int64_t count) {
  constexpr int N = kFull<typename Layout::Word>;
  using Words = LanesN<typename Layout::Word, N>;
  const PatternFormat<Layout> format = given;
  const auto least =
      Words{} + static_cast<typename Layout::Word>(format.least_field << Layout::kFraction);
  for (int64_t i = 0; i < count; i += N) {
    Words random;
    if constexpr (sizeof(typename Layout::Word) == 4) {
      random = load_vector<Words>(words + i);
    } else {
      random = widen_lanes<uint64_t>(words + i) >> (32 - format.spec.bits);
    }
    const auto x = reinterpret<Words>(load_values<ValueOf<Layout>, N>(in + i));
    Words rounded;
    if constexpr (Shrinks && sizeof(typename Layout::Word) == 4) {
      // Most data have nearly no numbers below the normal range, or hardly any other. Of
      // below_normal no lane, and every one but zeros: compared here, so that masks need not become
      // vectors.
      const Words magnitude = x & (~typename Layout::Word{0} >> 1);
      if (!any_less(magnitude - 1, least - 1)) {
        rounded = round_pattern<Rounding::Stochastic, false>(x, format, random);
      } else if (!any_less(least - 1, magnitude)) {
        rounded = round_below_normal(x, format, random);
      } else {
        rounded = round_vector<Layout, Rounding::Stochastic, true>(x, format, random);
      }
    } else {
      rounded = round_pattern<Rounding::Stochastic, Shrinks>(x, format, random);
    }
    put_members<Stream, N>(out + i, reinterpret<LanesN<ValueOf<Layout>, N>>(rounded));
  }
}

template <class Layout, bool Shrinks, class S>
[[gnu::noinline]] void round_stochastic(const RoundTask& task, const PatternFormat<Layout>& format,
                                        int64_t begin, int64_t end) {
  constexpr int N = kFull<typename Layout::Word>;
  const S* in = static_cast<const S*>(task.x);
  S* out = static_cast<S*>(task.out);
  RandomEvents random(task.source, format.spec, 1);
  const auto part = [&](int64_t i, int64_t count) {
    random.enter(i, count);
    const int64_t whole = count & -N, rest = count - whole;
    round_drawn<Layout, Shrinks, false>(format, random.words(0, 0), in + i, out + i, whole);
    if (rest == 0) return;
    Edge<S, N> edge(in + i + whole, rest);
    round_drawn<Layout, Shrinks, false>(format, random.words(0, whole), edge.data(), edge.data(),
                                        N);
    edge.store(out + i + whole, rest);
  };
  const int64_t border = random.up_to_border(begin) % 16;
  const int64_t head = end - begin < border ? end - begin : border;
  if (head > 0) part(begin, head);
  for_vectors<kBlock>(
      task.stream, out, begin + head, end,
      [&]<bool Stream>(int64_t i) {
        // Read while the random words are made.
        for (int64_t l = 0; l < kBlock; l += 64 / static_cast<int64_t>(sizeof(S))) {
          __builtin_prefetch(in + i + l);
        }
        random.enter(i, kBlock);
        round_drawn<Layout, Shrinks, Stream>(format, random.words(0, 0), in + i, out + i, kBlock);
      },
      part);
}

inline void run_round(const RoundTask& task, int64_t begin, int64_t end) {
#if defined(__F16C__)
  if (rounds_to_float16(task)) return round_float16_run(task, begin, end);
#endif
  const EnvironmentGuard guard(Rounding::NearestEven);
  with_scalar(task.scalar, [&]<class S>(S) {
    if (task.wide) {
      with_pattern_format(task.format64, [&]<Rounding R, bool Shrinks>() {
        // Float32 lanes serve narrower elements under every other rounding, and where R fits.
        if constexpr (R == Rounding::Stochastic) {
          round_stochastic<Binary64, Shrinks, S>(task, task.format64, begin, end);
        } else if constexpr (__is_same(S, double)) {
          round_run<Binary64, R, Shrinks, S>(task, task.format64, begin, end);
        }
      });
    } else {
      with_pattern_format(task.format32, [&]<Rounding R, bool Shrinks>() {
        if constexpr (R == Rounding::Stochastic && !__is_same(S, double)) {
          round_stochastic<Binary32, Shrinks, S>(task, task.format32, begin, end);
        } else if constexpr (!__is_same(S, double)) {
          round_run<Binary32, R, Shrinks, S>(task, task.format32, begin, end);
        }
      });
    }
  });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
