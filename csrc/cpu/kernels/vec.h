// SPDX-License-Identifier: MIT
// A vector of outputs: Vec<T>::V holds kLanes values of type T, each lane a different output
// element. Arithmetic is +, * and fma under the ambient rounding mode; everything else moves bits.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../../core/bits.h"
#include "../../core/config.h"
#include "../../core/element.h"
#include "halves.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fpdet::inline FPDET_TARGET::kernels {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kMaxRows = 14;  // 14 x 2 accumulators, 2 operands: 30 of 32 registers
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kMaxRows = 6;  // 6 x 2 accumulators, 2 operands, 1 broadcast: 15 of 16
#else
inline constexpr int kVectorBytes = 16;
inline constexpr int kMaxRows = 4;
#endif

#define FPDET_INLINE inline __attribute__((always_inline))

template <class T>
struct Lanes;
template <>
struct Lanes<float> {
  typedef float V __attribute__((vector_size(kVectorBytes)));
  typedef int32_t I __attribute__((vector_size(kVectorBytes)));
  using Index = int32_t;
};
template <>
struct Lanes<double> {
  typedef double V __attribute__((vector_size(kVectorBytes)));
  typedef int64_t I __attribute__((vector_size(kVectorBytes)));
  using Index = int64_t;
};
template <class T>
using V = typename Lanes<T>::V;
template <class T>
using I = typename Lanes<T>::I;
template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

template <class T>
FPDET_INLINE V<T> load(const T* p) {
  V<T> v{};
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
FPDET_INLINE void store(T* p, V<T> v) {
  std::memcpy(p, &v, sizeof v);
}
template <class T>
FPDET_INLINE void store_first(T* p, V<T> v, int lanes) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << lanes) - 1u), v);
  } else {
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << lanes) - 1u), v);
  }
#elif defined(__AVX2__)
  // Halves, quarters and so on of the vector, each where a bit of `lanes` is set.
  if constexpr (sizeof(T) == 4) {
    __m128 x = _mm256_castps256_ps128(v);
    if ((lanes & 4) != 0) {
      _mm_storeu_ps(p, x);
      x = _mm256_extractf128_ps(v, 1);
      p += 4;
    }
    if ((lanes & 2) != 0) {
      _mm_storel_pi(reinterpret_cast<__m64*>(p), x);
      x = _mm_movehl_ps(x, x);
      p += 2;
    }
    if ((lanes & 1) != 0) _mm_store_ss(p, x);
  } else {
    __m128d x = _mm256_castpd256_pd128(v);
    if ((lanes & 2) != 0) {
      _mm_storeu_pd(p, x);
      x = _mm256_extractf128_pd(v, 1);
      p += 2;
    }
    if ((lanes & 1) != 0) _mm_store_sd(p, x);
  }
#else
  T all[kLanes<T>];
  store<T>(all, v);
  int done = 0;
  const auto some = [&]<int N>() {
    if constexpr (N <= kLanes<T>) {
      if ((lanes & N) != 0) {
        std::memcpy(p + done, all + done, N * sizeof(T));
        done += N;
      }
    }
  };
  some.template operator()<8>();
  some.template operator()<4>();
  some.template operator()<2>();
  some.template operator()<1>();
#endif
}

template <class T>
FPDET_INLINE V<T> broadcast(T x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return _mm512_set1_ps(x);
  } else {
    return _mm512_set1_pd(x);
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    return _mm256_set1_ps(x);
  } else {
    return _mm256_set1_pd(x);
  }
#else
  V<T> v{};
  for (int l = 0; l < kLanes<T>; ++l) v[l] = x;
  return v;
#endif
}

/// As many values of float32 as a vector holds of float64.
typedef float Narrow __attribute__((vector_size(kVectorBytes / 2)));

FPDET_INLINE V<double> to_doubles(Narrow x) {
#if defined(__AVX512F__)
  return _mm512_maskz_cvtps_pd(0xff, x);
#elif defined(__AVX2__)
  return _mm256_cvtps_pd(x);
#else
  return __builtin_convertvector(x, V<double>);
#endif
}

/// x, loaded once: keeps the compiler from loading it again for each use.
template <class T>
FPDET_INLINE V<T> in_register(V<T> x) {
#if defined(__x86_64__)
  __asm__("" : "+v"(x));
#elif defined(__aarch64__)
  __asm__("" : "+w"(x));
#endif
  return x;
}

/// a * b + c, rounded once per lane.
template <class T>
FPDET_INLINE V<T> fma(V<T> a, V<T> b, V<T> c) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return _mm512_fmadd_ps(a, b, c);
  } else {
    return _mm512_fmadd_pd(a, b, c);
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    return _mm256_fmadd_ps(a, b, c);
  } else {
    return _mm256_fmadd_pd(a, b, c);
  }
#else
  for (int l = 0; l < kLanes<T>; ++l) {
    if constexpr (sizeof(T) == 4) {
      c[l] = __builtin_fmaf(a[l], b[l], c[l]);
    } else {
      c[l] = __builtin_fma(a[l], b[l], c[l]);
    }
  }
  return c;
#endif
}

/// lane(0), lane(1), ... From memory: a vector that a loop fills g++ 12 puts together lane by lane,
/// each time that it is used.
template <class Vector, auto lane>
FPDET_INLINE Vector vector_of() {
  using Element = std::remove_cvref_t<decltype(Vector{}[0])>;
  constexpr int n = static_cast<int>(sizeof(Vector) / sizeof(Element));
  struct List {
    Element x[n]{};
    constexpr List() {
      for (int l = 0; l < n; ++l) x[l] = static_cast<Element>(lane(l));
    }
  };
  alignas(Vector) static constexpr List kList;
  Vector v;
  std::memcpy(&v, kList.x, sizeof v);
  return v;
}

template <class T>
FPDET_INLINE V<T> either(V<T> a, V<T> b) {
  return reinterpret_cast<V<T>>(reinterpret_cast<I<T>>(a) | reinterpret_cast<I<T>>(b));
}

/// rows[i][l] becomes rows[l][i], from step s on.
template <class T, int s = 1>
FPDET_INLINE void transpose(V<T> (&rows)[kLanes<T>]) {
  constexpr int n = kLanes<T>;
  if constexpr (s < n) {
    const auto low = vector_of<I<T>, [](int l) { return (l & s) == 0 ? l : n + l - s; }>();
    const auto high = vector_of<I<T>, [](int l) { return (l & s) == 0 ? l + s : n + l; }>();
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) {
      if ((i & s) != 0) continue;
      const V<T> a = rows[i], b = rows[i + s];
      rows[i] = __builtin_shuffle(a, b, low);
      rows[i + s] = __builtin_shuffle(a, b, high);
    }
    transpose<T, 2 * s>(rows);
  }
}

/// An element as the accumulator's type: exact.
template <class T>
FPDET_INLINE T to_accumulator(double x) {
  return static_cast<T>(x);
}
template <class T>
FPDET_INLINE T to_accumulator(float x) {
  return static_cast<T>(x);
}
template <class T>
FPDET_INLINE T to_accumulator(BFloat16 x) {
  return static_cast<T>(from_bits(static_cast<uint32_t>(x.bits) << 16));
}
template <class T>
FPDET_INLINE T to_accumulator(Float16 x) {
#if defined(__F16C__)
  return static_cast<T>(_cvtsh_ss(x.bits));
#else
  return static_cast<T>(widen(x));
#endif
}

/// Lane l is p[l * stride] where bit l of mask is set, +0 elsewhere; nothing else is read.
template <class T, class S>
FPDET_INLINE V<T> gather(const S* p, int64_t stride, uint32_t mask) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4 && sizeof(S) == 4) {
    if (stride == 1) return _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p);
    if (stride == 2) {
      // Bits 0..15 spread to the even bits: the odd elements between two lanes are not read.
      uint32_t wide = mask;
      wide = (wide | (wide << 8)) & 0x00ff00ffu;
      wide = (wide | (wide << 4)) & 0x0f0f0f0fu;
      wide = (wide | (wide << 2)) & 0x33333333u;
      wide = (wide | (wide << 1)) & 0x55555555u;
      const __m512 a = _mm512_maskz_loadu_ps(static_cast<__mmask16>(wide & 0xffffu), p);
      const __m512 b = _mm512_maskz_loadu_ps(static_cast<__mmask16>(wide >> 16), p + 16);
      const __m512i even =
          _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
      return _mm512_permutex2var_ps(a, even, b);
    }
  }
  if constexpr (sizeof(T) == 8 && sizeof(S) == 8) {
    if (stride == 1) return _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), p);
  }
  if constexpr (sizeof(T) == 8 && __is_same(S, float)) {
    if (stride == 1) {
      const auto lanes = static_cast<__mmask8>(mask);
      return _mm512_maskz_cvtps_pd(lanes, _mm256_maskz_loadu_ps(lanes, p));
    }
  }
  if constexpr (sizeof(T) == 4 && __is_same(S, BFloat16)) {
    if (stride == 1) {
      const auto lanes = static_cast<__mmask16>(mask);
      const __m512i bits = _mm512_maskz_cvtepu16_epi32(lanes, _mm256_maskz_loadu_epi16(lanes, p));
      return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(lanes, bits, 16));
    }
  }
  if constexpr (sizeof(T) == 4 && __is_same(S, Float16)) {
    if (stride == 1) {
      const auto lanes = static_cast<__mmask16>(mask);
      return _mm512_maskz_cvtph_ps(lanes, _mm256_maskz_loadu_epi16(lanes, p));
    }
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4 && sizeof(S) == 2) {
    return floats_of(S{}, gather_halves(&p->bits, stride, mask));
  }
  if constexpr (sizeof(T) == 4 && sizeof(S) == 4) {
    if (stride == 1) {
      const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
      const __m256i all = _mm256_set1_epi32(static_cast<int>(mask));
      return _mm256_maskload_ps(p, _mm256_cmpeq_epi32(_mm256_and_si256(all, bit), bit));
    }
    if (stride == 2) {
      // Bit 8 is in no mask: the odd elements are not read.
      const __m256i low = _mm256_setr_epi32(1, 256, 2, 256, 4, 256, 8, 256);
      const __m256i high = _mm256_setr_epi32(16, 256, 32, 256, 64, 256, 128, 256);
      const __m256i all = _mm256_set1_epi32(static_cast<int>(mask));
      const auto part = [all](const float* q, __m256i bit) {
        return _mm256_maskload_ps(q, _mm256_cmpeq_epi32(_mm256_and_si256(all, bit), bit));
      };
      const __m256 pairs = _mm256_shuffle_ps(part(p, low), part(p + 8, high), 0x88);
      return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(pairs), 0xd8));
    }
  }
  if constexpr (sizeof(T) == 8 && __is_same(S, float)) {
    if (stride == 1) {
      const __m128i bit = _mm_setr_epi32(1, 2, 4, 8);
      const __m128i all = _mm_set1_epi32(static_cast<int>(mask));
      return _mm256_cvtps_pd(_mm_maskload_ps(p, _mm_cmpeq_epi32(_mm_and_si128(all, bit), bit)));
    }
    if (stride == 2) {
      // Bit 4 is in no mask: the odd elements are not read.
      const __m256i bit = _mm256_setr_epi32(1, 16, 2, 16, 4, 16, 8, 16);
      const __m256i all = _mm256_set1_epi32(static_cast<int>(mask));
      const __m256 x = _mm256_maskload_ps(p, _mm256_cmpeq_epi32(_mm256_and_si256(all, bit), bit));
      const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
      return _mm256_cvtps_pd(_mm256_castps256_ps128(_mm256_permutevar8x32_ps(x, even)));
    }
  }
#endif
  constexpr uint32_t kAll = (uint32_t{1} << kLanes<T>)-1;
  if constexpr (sizeof(S) == sizeof(T)) {
    if (stride == 1 && mask == kAll) {
      V<T> v{};
      std::memcpy(&v, p, sizeof v);
      return v;
    }
  }
  T lanes[kLanes<T>];
  for (int l = 0; l < kLanes<T>; ++l) {
    lanes[l] = (mask >> l) & 1u ? to_accumulator<T>(p[l * stride]) : T{0};
  }
  return load(lanes);
}

/// Lane l is what lane kLanes - 1 - l was.
template <class T>
FPDET_INLINE V<T> reversed(V<T> v) {
  return __builtin_shuffle(v, vector_of<I<T>, [](int l) { return kLanes<T> - 1 - l; }>());
}
inline uint32_t reversed_mask(uint32_t mask, int lanes) {
  uint32_t back = 0;
  for (int l = 0; l < lanes; ++l) back |= (mask >> l & 1u) << (lanes - 1 - l);
  return back;
}

/// The even and the odd ones of the 2 * kLanes values of a and b.
template <class T>
struct Halves {
  V<T> even, odd;
};
template <class T>
FPDET_INLINE Halves<T> take_apart(V<T> a, V<T> b) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    // Pairs that two in-lane shuffles leave in the sequence a, b, a, b.
    const auto in_sequence = [](__m256 x) {
      return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xd8));
    };
    return {in_sequence(_mm256_shuffle_ps(a, b, 0x88)), in_sequence(_mm256_shuffle_ps(a, b, 0xdd))};
  }
#endif
  return {__builtin_shuffle(a, b, vector_of<I<T>, [](int l) { return 2 * l; }>()),
          __builtin_shuffle(a, b, vector_of<I<T>, [](int l) { return 2 * l + 1; }>())};
}

/// Stores a[0], b[0], a[1], b[1], ..., so many lanes of each (at least half of them).
template <class T>
FPDET_INLINE void store_in_turn(T* p, V<T> a, V<T> b, int lanes) {
  constexpr int kW = kLanes<T>;
  const auto low = vector_of<I<T>, [](int l) { return l / 2 + l % 2 * kW; }>();
  const auto high = vector_of<I<T>, [](int l) { return l / 2 + l % 2 * kW + kW / 2; }>();
  const V<T> x = __builtin_shuffle(a, b, low), y = __builtin_shuffle(a, b, high);
  store<T>(p, x);
  if (lanes == kW) {
    store<T>(p + kW, y);
    return;
  }
#if defined(__AVX512F__)
  store_first<T>(p + kW, y, 2 * lanes - kW);
#else
  T all[2 * kW];
  store<T>(all, x);
  store<T>(all + kW, y);
  const int last = 2 * lanes - kW;
  store<T>(p + last, load<T>(all + last));
#endif
}

/// Lane l is p[l * stride]; nothing before the first lane or past the last one is read.
template <class T, class S>
FPDET_INLINE V<T> gather_all(const S* p, int64_t stride) {
  constexpr int kW = kLanes<T>;
  if constexpr (__is_same(S, T) || (__is_same(S, float) && sizeof(T) == 8)) {
    typedef S Elements __attribute__((vector_size(kW * sizeof(S))));
    const auto as_vector = [](Elements v) {
      if constexpr (__is_same(S, T)) {
        return v;
      } else {
        return to_doubles(v);
      }
    };
    if (stride == 1 || stride == 2) {
      Elements x;
      std::memcpy(&x, p, sizeof x);
      if (stride == 2) {
        // The second vector begins one element early, so that it ends with the last lane.
        typedef typename Lanes<S>::Index Index __attribute__((vector_size(kW * sizeof(S))));
        Elements y;
        std::memcpy(&y, p + kW - 1, sizeof y);
        constexpr auto kPick = [](int l) { return 2 * l < kW ? 2 * l : 2 * l + 1; };
        x = __builtin_shuffle(x, y, vector_of<Index, kPick>());
      }
      return as_vector(x);
    }
    Elements x{};
#pragma GCC unroll 16
    for (int l = 0; l < kW; ++l) x[l] = p[l * stride];
    return as_vector(x);
  }
  return gather<T>(p, stride, (uint32_t{1} << kW) - 1);
}

/// Lane l is p[l * stride] for l < n <= kLanes, +0 elsewhere; nothing else is read.
template <class T, class S>
FPDET_INLINE V<T> some_elements(const S* p, int64_t stride, int64_t n) {
  if (n == kLanes<T>) return gather_all<T>(p, stride);
  return gather<T>(p, stride, (uint32_t{1} << n) - 1);
}

/// to[i] = from[i * stride] for i < n. The last vector lies back over its neighbour; where there is
/// none, zeros follow up to its end.
template <class T, class S>
FPDET_INLINE void copy_elements(const S* from, int64_t stride, int64_t n, T* to) {
  constexpr int64_t kW = kLanes<T>;
  if (n <= 0) return;
  if (n < kW) {
    store<T>(to, some_elements<T>(from, stride, n));
    return;
  }
  for (int64_t i = 0; i < n - kW; i += kW) {
    store<T>(to + i, gather_all<T>(from + i * stride, stride));
  }
  store<T>(to + n - kW, gather_all<T>(from + (n - kW) * stride, stride));
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
