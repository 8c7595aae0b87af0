// SPDX-License-Identifier: MIT
// The end of an output element: bias, and conversion to the element type.
#pragma once

#include "../../core/pattern.h"
#include "lanes.h"
#include "micro.h"
#include "task.h"
#include "vec.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// kLanes<float> members of float32 as 16-bit elements, under the ambient rounding, which is R.
template <Rounding R, class S>
FPDET_INLINE void put_halves(const float* from, S* to) {
  constexpr int kW = kLanes<float>;
#if defined(__F16C__)
  if constexpr (__is_same(S, Float16)) {
    for (int l = 0; l < kW; l += 8) to_float16(from + l, &to[l].bits);
    return;
  }
#endif
  using Words = LanesN<uint32_t, kW>;
  constexpr PatternFormat<Binary32> kFormat(kFormatOf<S>, R, StochasticSpec{});
  const Words x = load_vector<Words>(from);
  Words rounded;
  if constexpr (R == Rounding::NearestEven && __is_same(S, BFloat16)) {
    // round_pattern, where carries alone make what is too large infinite, and keep infinities.
    const Words number = x + ((x >> 16 & 1u) + 0x7fffu);
    rounded = (x & 0x7fffffffu) > 0x7f800000u ? x | kFormat.special : number;
  } else {
    rounded = round_pattern<R, (kFormat.least_field > 1)>(x, kFormat, Words{});
  }
  put_members<false, kW>(to, reinterpret<V<float>>(rounded));
}

/// Vectors that lie at spots of a line (members `out`, from `to`, and `lanes`), their lanes side by
/// side in memory. What lies below `end` of its sample past a spot's lanes is written later and may
/// be overwritten.
template <Rounding R, class S, class Spot>
void put_spots(const float* from, int count, const Spot* spots, S* to, int64_t end) {
  constexpr int kW = kLanes<float>;
  for (int i = 0; i < count; ++i, from += kW) {
    S* place = to + spots[i].out;
    if (spots[i].lanes == kW || spots[i].inner + kW <= end) {
      put_halves<R>(from, place);
      continue;
    }
    S halves[kW];
    put_halves<R>(from, halves);
    for (int l = 0; l < spots[i].lanes; ++l) place[l] = halves[l];
  }
}

/// As put_halves for n of them, each at its offset.
template <Rounding R, class S>
void put_all_halves(const float* from, int64_t n, S* to, const int64_t* offsets) {
  constexpr int kW = kLanes<float>;
  for (int64_t i = 0; i < n; i += kW) {
    const int64_t count = at_most(n - i, kW);
    float edge[kW] = {};
    if (count < kW) std::memcpy(edge, from + i, static_cast<size_t>(count) * sizeof(float));
    S halves[kW];
    put_halves<R>(count < kW ? edge : from + i, halves);
    const int64_t* place = offsets + i;
    bool apart = false;
    for (int64_t l = 1; l < count; ++l) apart |= place[l] != place[0] + l;
    if (count == kW && !apart) {
      std::memcpy(to + place[0], halves, sizeof halves);
    } else {
      for (int64_t l = 0; l < count; ++l) to[place[l]] = halves[l];
    }
  }
}

/// Stores members of the accumulator's format as elements, under the ambient rounding.
template <class T, class S>
__attribute__((noinline)) void convert(const Task& task, const T* from, int64_t n, S* to,
                                       const int64_t* offsets) {
  if constexpr (__is_same(T, S) || (sizeof(T) == 8 && __is_same(S, float))) {
    for (int64_t i = 0; i < n; ++i) to[offsets[i]] = static_cast<S>(from[i]);
  } else if constexpr (sizeof(T) == 4) {
    with_rounding(task.arithmetic.rounding, [&]<Rounding R>() {
      if constexpr (is_hardware(R)) put_all_halves<R>(from, n, to, offsets);
    });
  } else {
    const Arith arith(task.arithmetic, true);
    RandomBits none;
    for (int64_t i = 0; i < n; ++i) {
      fpdet::store(arith.round_to(from[i], kFormatOf<S>, none, 0), to[offsets[i]]);
    }
  }
}

template <class T>
__attribute__((noinline)) V<T> add(V<T> a, V<T> b) {
  return a + b;
}

template <class T>
__attribute__((noinline)) void add_to_row(T* row, T b) {
  for (int v = 0; v < kPanel<T>; v += kLanes<T>)
    store<T>(row + v, load<T>(row + v) + broadcast<T>(b));
}

/// rows[i][lane] += b[lane], kPanel lanes a row.
template <class T>
__attribute__((noinline)) void add_to_rows(T* rows, int64_t count, const T* b) {
  for (int64_t i = 0; i < count; ++i, rows += kPanel<T>) {
    for (int v = 0; v < kPanel<T>; v += kLanes<T>) {
      store<T>(rows + v, load<T>(rows + v) + load<T>(b + v));
    }
  }
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
