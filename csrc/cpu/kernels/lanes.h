// SPDX-License-Identifier: MIT
// Vectors of N lanes of any type, and the exact ways between what tensors store and float or double
// lanes. Under an EnvironmentGuard: subnormals count.
#pragma once

#include <cstring>

#include "../../core/element.h"
#include "vec.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class E, int N>
struct LanesOf {
  typedef E Type __attribute__((vector_size(N * sizeof(E))));
};
template <class E, int N>
using LanesN = typename LanesOf<E, N>::Type;

/// As many lanes as fill a register.
template <class E>
inline constexpr int kFull = kVectorBytes / static_cast<int>(sizeof(E));

template <class To, class From>
FPDET_INLINE To reinterpret(From x) {
  static_assert(sizeof(To) == sizeof(From));
  To y;
  std::memcpy(&y, &x, sizeof y);
  return y;
}

template <class To, class E>
FPDET_INLINE To load_vector(const E* p) {
  To v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

/// v to p; past the caches where Stream, p being aligned to v's size.
template <bool Stream, class Vector>
FPDET_INLINE void put(void* p, Vector v) {
#if defined(__x86_64__)
  if constexpr (Stream && sizeof v == 16) {
    return _mm_stream_si128(static_cast<__m128i*>(p), reinterpret<__m128i>(v));
  }
#if defined(__AVX2__)
  if constexpr (Stream && sizeof v == 32) {
    return _mm256_stream_si256(static_cast<__m256i*>(p), reinterpret<__m256i>(v));
  }
#endif
#if defined(__AVX512F__)
  if constexpr (Stream && sizeof v == 64) {
    return _mm512_stream_si512(static_cast<__m512i*>(p), reinterpret<__m512i>(v));
  }
#endif
#endif
  std::memcpy(p, &v, sizeof v);
}

/// Before another thread may read what was streamed.
inline void finish_stores() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// float16 and float32 differ in the exponent's bias (by 112) and the place of the fields (by 13):
// a product with a power of two moves the bias and handles subnormals, exactly.
inline constexpr float kFloat16Bias = 0x1p112f;

/// The values of N stored elements as T, float or double.
template <class T, int N, class S>
FPDET_INLINE LanesN<T, N> load_values(const S* p) {
  using Words = LanesN<uint32_t, N>;
  if constexpr (__is_same(S, T)) {
    return load_vector<LanesN<T, N>>(p);
  } else if constexpr (__is_same(T, double)) {
    return __builtin_convertvector(load_values<float, N>(p), LanesN<double, N>);
  } else {
    const Words half = __builtin_convertvector(load_vector<LanesN<uint16_t, N>>(p), Words);
    if constexpr (__is_same(S, BFloat16)) {
      return reinterpret<LanesN<float, N>>(half << 16);
    } else {
      const Words sign = (half & 0x8000u) << 16;
      const Words magnitude = (half & 0x7fffu) << 13;
      const Words moved =
          reinterpret<Words>(reinterpret<LanesN<float, N>>(magnitude) * kFloat16Bias);
      const Words special = magnitude | 0x7f800000u;
      return reinterpret<LanesN<float, N>>((magnitude >= (0x7c00u << 13) ? special : moved) | sign);
    }
  }
}

/// Stores members of the element's format.
template <bool Stream, int N, class S, class Vector>
FPDET_INLINE void put_members(S* p, Vector members) {
  using Words = LanesN<uint32_t, N>;
  using Halves = LanesN<uint16_t, N>;
  if constexpr (__is_same(Vector, LanesN<double, N>)) {
    if constexpr (__is_same(S, double)) {
      put<Stream>(p, members);
    } else {
      put_members<Stream, N>(p, __builtin_convertvector(members, LanesN<float, N>));
    }
  } else {
    if constexpr (__is_same(S, float)) {
      put<Stream>(p, members);
    } else if constexpr (__is_same(S, BFloat16)) {
      put<Stream>(p, __builtin_convertvector(reinterpret<Words>(members) >> 16, Halves));
    } else {
      const Words bits = reinterpret<Words>(members);
      const Words sign = (bits >> 16) & 0x8000u;
      const Words magnitude = bits & 0x7fffffffu;
      const Words moved =
          reinterpret<Words>(reinterpret<LanesN<float, N>>(magnitude) * (1 / kFloat16Bias)) >> 13;
      const Words special = ((magnitude >> 13) & 0x3ffu) | 0x7c00u;
      put<Stream>(
          p, __builtin_convertvector((magnitude >= 0x7f800000u ? special : moved) | sign, Halves));
    }
  }
}

/// Fewer than N elements as a full vector: what lies beyond `count` is zero and goes nowhere.
template <class S, int N>
class Edge {
 public:
  Edge(const S* p, int64_t count) {
    std::memset(buffer_, 0, sizeof buffer_);
    std::memcpy(buffer_, p, static_cast<size_t>(count) * sizeof(S));
  }
  S* data() { return buffer_; }
  void store(S* p, int64_t count) const {
    std::memcpy(p, buffer_, static_cast<size_t>(count) * sizeof(S));
  }

 private:
  alignas(64) S buffer_[N];
};

/// full.operator()<Stream>(i) for vectors of N elements and partly(i, count) for what is left over,
/// in [begin, end). With `stream`, full vectors lie at aligned places of `out`.
template <int N, class S, class Full, class Partly>
FPDET_INLINE void for_vectors(bool stream, const S* out, int64_t begin, int64_t end, Full&& full,
                              Partly&& partly) {
  int64_t i = begin;
  if (stream) {
    constexpr auto kBytes = static_cast<int64_t>(N * sizeof(S));
    const auto address = static_cast<int64_t>(reinterpret_cast<uintptr_t>(out + i));
    const int64_t ahead = (-address & (kBytes - 1)) / static_cast<int64_t>(sizeof(S));
    const int64_t head = ahead < end - i ? ahead : end - i;
    if (head > 0) partly(i, head);
    i += head;
    for (; i + N <= end; i += N) full.template operator()<true>(i);
    finish_stores();
  } else {
    for (; i + N <= end; i += N) full.template operator()<false>(i);
  }
  if (i < end) partly(i, end - i);
}

/// step.operator()<Stream>(from, to) for the vectors of N elements in [begin, end), what is left
/// over by way of a copy.
template <int N, class S, class Step>
FPDET_INLINE void map_vectors(bool stream, const S* in, S* out, int64_t begin, int64_t end,
                              const Step& step) {
  for_vectors<N>(
      stream, out, begin, end,
      [&]<bool Stream>(int64_t i) { step.template operator()<Stream>(in + i, out + i); },
      [&](int64_t i, int64_t count) {
        Edge<S, N> edge(in + i, count);
        step.template operator()<false>(edge.data(), edge.data());
        edge.store(out + i, count);
      });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
