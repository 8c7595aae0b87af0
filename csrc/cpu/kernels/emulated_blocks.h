// SPDX-License-Identifier: MIT
// Elements pass through the arithmetic as blocks of float32, which holds their values: where they
// lie, if that is what they are, else in a copy. The loops over the arithmetic know nothing of the
// element type, and the other way round.
#pragma once

#include "conversion.h"
#include "random_lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

struct alignas(64) Block {
  float x[kBlock];
};

/// Lanes beyond `count`, up to a whole vector, are zero.
template <class S>
[[gnu::noinline]] void widen_block(const S* p, int64_t count, Block& to) {
  constexpr int N = kDoubleLanes;
  int64_t i = 0;
  const auto widen_vector = [&](const S* from) {
    const LanesN<float, N> x = load_values<float, N>(from);
    std::memcpy(to.x + i, &x, sizeof x);
  };
  for (; i + N <= count; i += N) widen_vector(p + i);
  if (i < count) {
    Edge<S, N> edge(p + i, count - i);
    widen_vector(edge.data());
  }
}

template <class S>
[[gnu::noinline]] void narrow_block(const Block& from, int64_t count, S* p) {
  constexpr int N = kDoubleLanes;
  int64_t i = 0;
  const auto narrow_vector = [&](S* to) {
    put_members<false, N>(to, load_vector<LanesN<float, N>>(from.x + i));
  };
  for (; i + N <= count; i += N) narrow_vector(p + i);
  if (i < count) {
    Edge<S, N> edge(p + i, count - i);
    narrow_vector(edge.data());
    edge.store(p + i, count - i);
  }
}

/// Do vectors of float32 end where `count` elements end?
inline bool lie_as_vectors(Scalar scalar, int64_t count) {
  return scalar == Scalar::Float32 && count % kDoubleLanes == 0;
}

/// Elements first … first + count - 1 of p: there, or in `copy`.
inline const float* read_block(Scalar scalar, const void* p, int64_t first, int64_t count,
                               Block& copy) {
  if (lie_as_vectors(scalar, count)) return static_cast<const float*>(p) + first;
  with_narrow_scalar(
      scalar, [&]<class S>(S) { widen_block(static_cast<const S*>(p) + first, count, copy); });
  return copy.x;
}

/// Where `count` elements from the first on go, there or by way of a copy: to be closed.
class WrittenBlock {
 public:
  WrittenBlock(Scalar scalar, void* p, int64_t first, int64_t count, Block& copy)
      : scalar_(scalar), p_(p), first_(first), count_(count), copy_(copy) {}

  /// Their values before.
  float* read() const { return const_cast<float*>(read_block(scalar_, p_, first_, count_, copy_)); }
  float* data() const {
    return lie_as_vectors(scalar_, count_) ? static_cast<float*>(p_) + first_ : copy_.x;
  }
  void close() const {
    if (lie_as_vectors(scalar_, count_)) return;
    with_narrow_scalar(
        scalar_, [&]<class S>(S) { narrow_block(copy_, count_, static_cast<S*>(p_) + first_); });
  }

 private:
  const Scalar scalar_;
  void* const p_;
  const int64_t first_, count_;
  Block& copy_;
};

/// What the vectors of a block need besides their operands.
struct Surroundings {
  RandomEvents random;
  Converter<double> convert;
  bool converts;

  FPDET_INLINE Doubles stored(Doubles x, const LaneEvents& lanes, int64_t event) const {
    return converts ? convert(x, lanes.at(event).v) : x;
  }
};

/// An attempt that draws, to be repeated with LaneEvents.
struct FirstAttempt : LaneEvents, Attempt {
  FPDET_INLINE FirstAttempt(const RandomEvents& events, int64_t place, const CutWords<Words>& words)
      : LaneEvents(events, place), Attempt(words) {}
};

/// f(first, count) for the blocks of elements in [begin, end).
template <class F>
void for_blocks(RandomEvents& random, int64_t begin, int64_t end, const F& f) {
  for (int64_t i = begin; i < end;) {
    const int64_t most = random.up_to_border(i), count = end - i < most ? end - i : most;
    random.enter(i, count);
    f(i, count);
    i += count;
  }
}

/// Random bits of the events, if the rounding is one that draws.
inline RandomEvents random_of(const Arithmetic& arithmetic, const Source& source, uint32_t events) {
  return {source, arithmetic.stochastic, arithmetic.rounding == Rounding::Stochastic ? events : 0};
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
