// SPDX-License-Identifier: MIT
// Vectors of outputs as float64 lanes, and a random word for each lane: the lower half of 64 bits,
// where the processor's 32 x 32 multiplication wants it; the upper half is noise.
#pragma once

#include "../../core/cut_pattern.h"
#include "../../core/random.h"
#include "lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int kDoubleLanes = kFull<double>;
using Doubles = LanesN<double, kDoubleLanes>;
using Words = LanesN<uint64_t, kDoubleLanes>;

FPDET_INLINE Words as_words(Doubles x) { return reinterpret<Words>(x); }
FPDET_INLINE Doubles as_doubles(Words x) { return reinterpret<Doubles>(x); }

// Of conversions in general g++ 12 makes many instructions.
FPDET_INLINE Doubles load_doubles(const float* p) {
#if defined(__AVX512F__)
  return reinterpret<Doubles>(_mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(p)));
#elif defined(__AVX2__)
  return reinterpret<Doubles>(_mm256_cvtps_pd(_mm_loadu_ps(p)));
#else
  return load_values<double, kDoubleLanes>(p);
#endif
}
/// Values of float32.
FPDET_INLINE void store_doubles(float* p, Doubles members) {
#if defined(__AVX512F__)
  _mm256_storeu_ps(p, _mm512_maskz_cvtpd_ps(0xff, reinterpret<__m512d>(members)));
#elif defined(__AVX2__)
  _mm_storeu_ps(p, _mm256_cvtpd_ps(reinterpret<__m256d>(members)));
#else
  put_members<false, kDoubleLanes>(p, members);
#endif
}

/// Members of the element's format, and so of float32's.
template <class S>
FPDET_INLINE void put_doubles(S* p, Doubles members) {
  if constexpr (__is_same(S, float)) {
    store_doubles(p, members);
  } else {
    float narrow[kDoubleLanes];
    store_doubles(narrow, members);
    put_members<false, kDoubleLanes>(p, load_vector<LanesN<float, kDoubleLanes>>(narrow));
  }
}

/// What core's Philox calculates with.
struct RandomWord {
  Words v;
};
FPDET_INLINE RandomWord all_lanes(uint64_t x) { return {x - Words{}}; }
FPDET_INLINE RandomWord operator^(RandomWord a, RandomWord b) { return {a.v ^ b.v}; }
FPDET_INLINE RandomWord operator^(RandomWord a, uint32_t b) { return {a.v ^ b}; }
FPDET_INLINE RandomWord operator&(RandomWord a, uint64_t b) { return {a.v & b}; }
FPDET_INLINE RandomWord operator+(RandomWord a, uint64_t b) { return {a.v + b}; }
FPDET_INLINE RandomWord operator>>(RandomWord a, int count) {
  return {a.v >> static_cast<uint64_t>(count)};
}
FPDET_INLINE RandomWord operator<<(RandomWord a, uint64_t count) { return {a.v << count}; }

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

/// Two vectors through the same Philox, or two such pairs, so that their chains overlap. Members,
/// not an array: g++ 12 copies that through memory.
template <class W>
struct Two {
  W a, b;
};
template <class W>
FPDET_INLINE Two<W> operator^(Two<W> x, Two<W> y) {
  return {x.a ^ y.a, x.b ^ y.b};
}
template <class W>
FPDET_INLINE Two<W> operator^(Two<W> x, RandomWord y) {
  return {x.a ^ y, x.b ^ y};
}
template <class W>
FPDET_INLINE Two<W> operator^(Two<W> x, uint32_t y) {
  return {x.a ^ y, x.b ^ y};
}
template <class W>
FPDET_INLINE Two<W> operator&(Two<W> x, uint64_t y) {
  return {x.a & y, x.b & y};
}
template <class W>
FPDET_INLINE Two<W> operator+(Two<W> x, uint64_t y) {
  return {x.a + y, x.b + y};
}
template <class W>
FPDET_INLINE Two<W> operator>>(Two<W> x, int n) {
  return {x.a >> n, x.b >> n};
}
template <class W>
FPDET_INLINE Two<W> operator<<(Two<W> x, uint64_t n) {
  return {x.a << n, x.b << n};
}
template <class W>
FPDET_INLINE WideProduct<Two<W>> wide_product(Two<W> x, uint32_t multiplier) {
  const WideProduct<W> a = wide_product(x.a, multiplier), b = wide_product(x.b, multiplier);
  return {{a.high, b.high}, {a.low, b.low}};
}
using RandomWords = Two<RandomWord>;

/// x in every lane.
template <class W>
FPDET_INLINE W spread(uint64_t x) {
  if constexpr (__is_same(W, RandomWord)) {
    return all_lanes(x);
  } else {
    return {spread<decltype(W::a)>(x), spread<decltype(W::a)>(x)};
  }
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

/// Of CutResult's words.
FPDET_INLINE bool any_doubtful(Words x) { return any(x & kSignBit); }

using LaneKey = ElementKeyOf<RandomWord>;
using LaneRandom = RandomBitsOf<RandomWord>;

/// x, which the compiler is to keep as a vector: it would spread it anew for each use.
FPDET_INLINE Words as_vector(Words x) {
#if defined(__x86_64__)
  __asm__("" : "+v"(x));
#endif
  return x;
}
FPDET_INLINE CutWords<Words> as_vectors(const CutWords<Words>& f) {
  return {as_vector(f.ones), as_vector(f.least), as_vector(f.range), as_vector(f.up),
          as_vector(f.down)};
}

/// In place of the random words of a vector: roundings of variant a that are in doubt say so, and
/// whoever attempts several does them again with random words. This keeps what is seldom out of the
/// loops.
struct Attempt {
  FPDET_INLINE explicit Attempt(const CutWords<Words>& words) : cut(words) {}

  const CutWords<Words>& cut;
  Words doubtful{};
};

/// The keys of all rounds, at hand in memory, for a Philox whose key stays. U: words.
template <class U>
struct KeySchedule {
  U k0[10], k1[10];

  void move_to(PhiloxKeyOf<U> key) {
    for (int round = 0; round < 10; ++round) {
      k0[round] = key.first();
      k1[round] = key.second();
      key.step();
    }
  }
};
template <class U>
struct ScheduledKey {
  const KeySchedule<U>& schedule;
  int round = 0;

  FPDET_INLINE U first() const { return schedule.k0[round]; }
  FPDET_INLINE U second() const { return schedule.k1[round]; }
  FPDET_INLINE void step() { ++round; }
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
