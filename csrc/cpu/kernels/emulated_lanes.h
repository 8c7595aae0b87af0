// SPDX-License-Identifier: MIT
// Vectors of outputs as float64 lanes, and a random word for each lane: the lower half of 64 bits,
// where the processor's 32 x 32 multiplication wants it; the upper half is noise.
#pragma once

#include "../../core/random.h"
#include "lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int kDoubleLanes = kFull<double>;
using Doubles = LanesN<double, kDoubleLanes>;
using Words = LanesN<uint64_t, kDoubleLanes>;

FPDET_INLINE Words as_words(Doubles x) { return reinterpret<Words>(x); }
FPDET_INLINE Doubles as_doubles(Words x) { return reinterpret<Doubles>(x); }

/// What core's Philox calculates with.
struct RandomWord {
  Words v;
};
FPDET_INLINE RandomWord all_lanes(uint64_t x) { return {x - Words{}}; }
FPDET_INLINE RandomWord operator^(RandomWord a, RandomWord b) { return {a.v ^ b.v}; }
FPDET_INLINE RandomWord operator^(RandomWord a, uint32_t b) { return {a.v ^ b}; }
FPDET_INLINE RandomWord operator&(RandomWord a, uint32_t b) { return {a.v & b}; }
FPDET_INLINE RandomWord operator+(RandomWord a, uint32_t b) { return {a.v + b}; }
FPDET_INLINE RandomWord operator>>(RandomWord a, int count) {
  return {a.v >> static_cast<uint64_t>(count)};
}

FPDET_INLINE WideProduct<RandomWord> wide_product(RandomWord word, uint32_t multiplier) {
  const Words x = word.v;
#if defined(__AVX512F__)
  // With a mask of all lanes: the plain form makes g++ 12 warn of an uninitialised operand.
  const auto product = reinterpret<Words>(
      _mm512_maskz_mul_epu32(0xff, reinterpret<__m512i>(x), _mm512_set1_epi64(multiplier)));
#elif defined(__AVX2__)
  const auto product =
      reinterpret<Words>(_mm256_mul_epu32(reinterpret<__m256i>(x), _mm256_set1_epi64x(multiplier)));
#elif defined(__x86_64__)
  const auto product =
      reinterpret<Words>(_mm_mul_epu32(reinterpret<__m128i>(x), _mm_set1_epi64x(multiplier)));
#else
  const Words product = (x & 0xffffffffu) * multiplier;
#endif
  return {{product >> 32}, {product}};
}

/// Vectors that go through Philox together, so that its chain of multiplications is hidden.
inline constexpr int kChains = 2;

/// Two vectors through the same Philox, so that their chains overlap. Members, not an array: g++ 12
/// copies that through memory.
struct RandomWords {
  RandomWord a, b;
};
FPDET_INLINE RandomWords operator^(RandomWords x, RandomWords y) { return {x.a ^ y.a, x.b ^ y.b}; }
FPDET_INLINE RandomWords operator^(RandomWords x, RandomWord y) { return {x.a ^ y, x.b ^ y}; }
FPDET_INLINE RandomWords operator^(RandomWords x, uint32_t y) { return {x.a ^ y, x.b ^ y}; }
FPDET_INLINE RandomWords operator&(RandomWords x, uint32_t y) { return {x.a & y, x.b & y}; }
FPDET_INLINE RandomWords operator+(RandomWords x, uint32_t y) { return {x.a + y, x.b + y}; }
FPDET_INLINE RandomWords operator>>(RandomWords x, int n) { return {x.a >> n, x.b >> n}; }
FPDET_INLINE WideProduct<RandomWords> wide_product(RandomWords x, uint32_t multiplier) {
  const WideProduct<RandomWord> a = wide_product(x.a, multiplier);
  const WideProduct<RandomWord> b = wide_product(x.b, multiplier);
  return {{a.high, b.high}, {a.low, b.low}};
}

/// Is any bit set?
FPDET_INLINE bool any(Words x) {
#if defined(__AVX512F__)
  return _mm512_test_epi64_mask(reinterpret<__m512i>(x), reinterpret<__m512i>(x)) != 0;
#elif defined(__AVX2__)
  return _mm256_testz_si256(reinterpret<__m256i>(x), reinterpret<__m256i>(x)) == 0;
#else
  uint64_t all = 0;
  for (int l = 0; l < kDoubleLanes; ++l) all |= x[l];
  return all != 0;
#endif
}

using LaneKey = ElementKeyOf<RandomWord>;
using LaneRandom = RandomBitsOf<RandomWord>;

FPDET_INLINE RandomWords every_lane(uint64_t x) { return {all_lanes(x), all_lanes(x)}; }

}  // namespace fpdet::inline FPDET_TARGET::kernels
