// SPDX-License-Identifier: MIT
// Blocks of elements are widened to float64, worked on and narrowed again: the loops over the
// arithmetic know nothing of the element type, and the other way round.
#pragma once

#include "conversion.h"
#include "random_lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int kBlock = 128;  // elements: three arrays of them lie in the first cache
static_assert(kBlock % kRandomLanes == 0);

struct alignas(64) Block {
  double x[kBlock];
};

inline int64_t whole_vectors(int64_t count) { return (count + kDoubleLanes - 1) & -kDoubleLanes; }

/// Lanes beyond `count`, up to a whole vector, are zero.
template <class S>
[[gnu::noinline]] void widen_block(const S* p, int64_t count, Block& to) {
  int64_t i = 0;
  const auto widen_vector = [&](const S* from) {
    const Doubles x = load_values<double, kDoubleLanes>(from);
    std::memcpy(to.x + i, &x, sizeof x);
  };
  for (; i + kDoubleLanes <= count; i += kDoubleLanes) widen_vector(p + i);
  if (i < count) {
    Edge<S, kDoubleLanes> edge(p + i, count - i);
    widen_vector(edge.data());
  }
}

template <class S>
[[gnu::noinline]] void narrow_block(const Block& from, int64_t count, S* p) {
  int64_t i = 0;
  const auto narrow_vector = [&](S* to) {
    put_members<false, kDoubleLanes>(to, load_vector<Doubles>(from.x + i));
  };
  for (; i + kDoubleLanes <= count; i += kDoubleLanes) narrow_vector(p + i);
  if (i < count) {
    Edge<S, kDoubleLanes> edge(p + i, count - i);
    narrow_vector(edge.data());
    edge.store(p + i, count - i);
  }
}

template <class F>
void with_narrow_scalar(Scalar scalar, F&& f) {
  with_scalar(scalar, [&]<class S>(S) {
    if constexpr (!__is_same(S, double)) f(S{});
  });
}

/// `count` elements of p, from the first on.
inline void widen_block(Scalar scalar, const void* p, int64_t first, int64_t count, Block& to) {
  with_narrow_scalar(scalar,
                     [&]<class S>(S) { widen_block(static_cast<const S*>(p) + first, count, to); });
}
inline void narrow_block(Scalar scalar, const Block& from, int64_t first, int64_t count, void* p) {
  with_narrow_scalar(scalar,
                     [&]<class S>(S) { narrow_block(from, count, static_cast<S*>(p) + first); });
}

/// What the vectors of a block need besides their operands.
struct Surroundings {
  RandomEvents random;
  Converter<double> convert;
  bool converts;

  FPDET_INLINE Doubles stored(Doubles x, int64_t event) const {
    return converts ? convert(x, random.at(event).v) : x;
  }
};

/// step(place) for the vectors of a block of elements that begins at `first`.
template <class Step>
FPDET_INLINE void for_runs(RandomEvents& random, int64_t first, int64_t count, const Step& step) {
  const int64_t end = whole_vectors(count);
  for (int64_t run = 0; run < end; run += kRandomLanes) {
    random.enter(first + run);
    for (int v = 0; v < kChains && run + v * kDoubleLanes < end; ++v) {
      random.choose(v);
      step(run + v * kDoubleLanes);
    }
  }
}

/// Random bits of the events, if the rounding is one that draws.
inline RandomEvents random_of(const Arithmetic& arithmetic, const Source& source, uint32_t events) {
  return {source, arithmetic.stochastic, arithmetic.rounding == Rounding::Stochastic ? events : 0};
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
