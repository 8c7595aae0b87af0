// SPDX-License-Identifier: MIT
// 16-bit elements by vectors of eight: loads of some lanes, and exact conversion to float32.
#pragma once

#include <cstdint>
#include <cstring>

#include "../../core/config.h"
#include "../../core/element.h"

#if defined(__AVX2__) && defined(__F16C__)
#include <immintrin.h>

namespace fpdet::inline FPDET_TARGET::kernels {

/// p[0 .. count-1], then zeros; nothing else is read.
inline __attribute__((always_inline)) __m128i first_halves(const uint16_t* p, int count) {
  if (count == 8) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  uint64_t low = 0, high = 0;
  if (count >= 4) {  // two loads that overlap
    std::memcpy(&low, p, 8);
    std::memcpy(&high, p + count - 4, 8);
    high = count == 4 ? 0 : high >> (16 * (8 - count));
  } else if (count >= 2) {
    uint32_t first, last;
    std::memcpy(&first, p, 4);
    std::memcpy(&last, p + count - 2, 4);
    low = first | (count == 3 ? static_cast<uint64_t>(last >> 16) << 32 : 0);
  } else if (count == 1) {
    low = *p;
  }
  return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
}

/// Byte shuffles: 16 - 2n bytes in stands the one that moves lanes up by n.
alignas(16) inline constexpr int8_t kMoveLanes[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                                      -1, -1, -1, -1, -1, 0,  1,  2,  3,  4,  5,
                                                      6,  7,  8,  9,  10, 11, 12, 13, 14, 15};

/// Lane l is p[l * stride] where bit l of mask is set, 0 elsewhere; nothing else is read.
inline __attribute__((always_inline)) __m128i gather_halves(const uint16_t* p, int64_t stride,
                                                            uint32_t mask) {
  if (stride == 1) {
    if (mask == 0xff) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    if (mask == 0) return _mm_setzero_si128();
    const int begin = __builtin_ctz(mask), count = 32 - __builtin_clz(mask) - begin;
    if (mask >> begin == (uint32_t{1} << count) - 1) {
      const __m128i lanes = first_halves(p + begin, count);
      const void* move = kMoveLanes + 16 - 2 * begin;
      return _mm_shuffle_epi8(lanes, _mm_loadu_si128(static_cast<const __m128i*>(move)));
    }
  }
  typedef uint16_t Lanes __attribute__((vector_size(16)));
  Lanes lanes = {};
#pragma GCC unroll 8
  for (int l = 0; l < 8; ++l) {
    if ((mask >> l) & 1u) lanes[l] = p[l * stride];
  }
  return reinterpret_cast<__m128i>(lanes);
}

inline __attribute__((always_inline)) __m256 floats_of(BFloat16, __m128i lanes) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(lanes), 16));
}
inline __attribute__((always_inline)) __m256 floats_of(Float16, __m128i lanes) {
  return _mm256_cvtph_ps(lanes);
}

/// Under the ambient rounding.
inline __attribute__((always_inline)) void to_float16(const float* from, uint16_t* to) {
  const __m128i lanes = _mm256_cvtps_ph(_mm256_loadu_ps(from), _MM_FROUND_CUR_DIRECTION);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), lanes);
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
#endif
