// SPDX-License-Identifier: MIT
// Random words of many elements at once: core's Philox over vectors. A word is the lower half of a
// 64-bit lane, where the processor's 32 x 32 multiplication wants it; the upper half is noise.
#pragma once

#include "../../core/random.h"
#include "elementwise_task.h"
#include "lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int kWordLanes = kFull<uint64_t>;
/// Vectors that go through Philox together, so that its chain of multiplications is hidden.
inline constexpr int kChains = 4;
inline constexpr int kRandomLanes = kWordLanes * kChains;

struct RandomWords {
  LanesN<uint64_t, kWordLanes> v[kChains];

  FPDET_INLINE static RandomWords broadcast(uint64_t x) {
    RandomWords r;
    for (auto& v : r.v) v = x - LanesN<uint64_t, kWordLanes>{};
    return r;
  }
};

FPDET_INLINE LanesN<uint64_t, kWordLanes> uniform(uint32_t x) {
  return x - LanesN<uint64_t, kWordLanes>{};
}

#define FPDET_LANEWISE(op, Other, of_other)                             \
  FPDET_INLINE RandomWords operator op(const RandomWords& a, Other b) { \
    RandomWords r;                                                      \
    for (int i = 0; i < kChains; ++i) r.v[i] = a.v[i] op of_other;      \
    return r;                                                           \
  }
FPDET_LANEWISE(^, const RandomWords&, b.v[i])
FPDET_LANEWISE(^, uint32_t, b)
FPDET_LANEWISE(&, uint32_t, b)
FPDET_LANEWISE(+, uint32_t, uniform(b))
FPDET_LANEWISE(>>, int, static_cast<uint64_t>(b))
#undef FPDET_LANEWISE
FPDET_INLINE RandomWords operator^(const RandomWords& a, const LanesN<uint64_t, kWordLanes>& b) {
  RandomWords r;
  for (int i = 0; i < kChains; ++i) r.v[i] = a.v[i] ^ b;
  return r;
}

FPDET_INLINE WideProduct<RandomWords> wide_product(const RandomWords& x, uint32_t multiplier) {
  WideProduct<RandomWords> result;
  for (int i = 0; i < kChains; ++i) {
#if defined(__AVX512F__)
    const auto product = reinterpret<LanesN<uint64_t, kWordLanes>>(
        // With a mask of all lanes: the plain form makes g++ 12 warn of an uninitialised operand.
        _mm512_maskz_mul_epu32(0xff, reinterpret<__m512i>(x.v[i]), _mm512_set1_epi64(multiplier)));
#elif defined(__AVX2__)
    const auto product = reinterpret<LanesN<uint64_t, kWordLanes>>(
        _mm256_mul_epu32(reinterpret<__m256i>(x.v[i]), _mm256_set1_epi64x(multiplier)));
#elif defined(__x86_64__)
    const auto product = reinterpret<LanesN<uint64_t, kWordLanes>>(
        _mm_mul_epu32(reinterpret<__m128i>(x.v[i]), _mm_set1_epi64x(multiplier)));
#else
    const auto product = (x.v[i] & 0xffffffffu) * multiplier;
#endif
    result.high.v[i] = product >> 32;
    result.low.v[i] = product;
  }
  return result;
}

using RandomLanes = RandomBitsOf<RandomWords>;

/// The keys of all rounds, in every lane, of a Philox whose key does not vary.
struct KeySchedule {
  LanesN<uint64_t, kWordLanes> k0[10], k1[10];

  void set(PhiloxKey key) {
    for (int round = 0; round < 10; ++round) {
      k0[round] = key.first() - LanesN<uint64_t, kWordLanes>{};
      k1[round] = key.second() - LanesN<uint64_t, kWordLanes>{};
      key.step();
    }
  }
};
struct ScheduledKey {
  const KeySchedule& schedule;
  int round = 0;

  FPDET_INLINE LanesN<uint64_t, kWordLanes> first() const { return schedule.k0[round]; }
  FPDET_INLINE LanesN<uint64_t, kWordLanes> second() const { return schedule.k1[round]; }
  FPDET_INLINE void step() { ++round; }
};

/// The random bits of runs of kRandomLanes consecutive elements.
class RandomRuns {
 public:
  RandomRuns(const Source& source, const StochasticSpec& spec) : source_(source), spec_(spec) {
    for (int l = 0; l < kRandomLanes; ++l) {
      lane_numbers_.v[l / kWordLanes][l % kWordLanes] = static_cast<uint64_t>(l);
    }
  }

  /// Of the elements i, i + 1, …
  FPDET_INLINE RandomLanes of(int64_t i) {
    // Elements lie in a sample most of the time: no division then.
    if (i < sample_begin_ || i + kRandomLanes > sample_begin_ + source_.per_sample) {
      if (i % source_.per_sample + kRandomLanes > source_.per_sample) {
        return of_several_samples(i);
      }
      enter(i / source_.per_sample);
    }
    RandomWords low, high;
    for (int c = 0; c < kChains; ++c) {
      low.v[c] = lane_numbers_.v[c] + static_cast<uint64_t>(i - sample_begin_);
      high.v[c] = low.v[c] >> 32;
    }
    return RandomLanes(spec_, element_key(ScheduledKey{schedule_}, w2_, w3_, low, high));
  }

 private:
  [[gnu::noinline]] void enter(int64_t sample) {
    const PhiloxBlock k1 =
        sample_key(philox_key(source_.seed), low_word(source_.counter), high_word(source_.counter),
                   source_.pass, source_.first_sample + static_cast<uint32_t>(sample));
    schedule_.set({k1.w0, k1.w1});
    w2_ = RandomWords::broadcast(k1.w2);
    w3_ = RandomWords::broadcast(k1.w3);
    sample_begin_ = sample * source_.per_sample;
  }

  /// Samples are short: each lane has its own.
  [[gnu::noinline]] RandomLanes of_several_samples(int64_t i) const {
    RandomWords n, low, high;
    for (int l = 0; l < kRandomLanes; ++l) {
      const int64_t at = i + l;
      n.v[l / kWordLanes][l % kWordLanes] =
          source_.first_sample + static_cast<uint32_t>(at / source_.per_sample);
      low.v[l / kWordLanes][l % kWordLanes] = static_cast<uint64_t>(at % source_.per_sample);
    }
    for (int c = 0; c < kChains; ++c) high.v[c] = low.v[c] >> 32;
    const auto word = [](uint32_t x) { return RandomWords::broadcast(x); };
    const PhiloxKeyOf<RandomWords> seed{word(low_word(source_.seed)),
                                        word(high_word(source_.seed))};
    const auto k1 = sample_key(seed, word(low_word(source_.counter)),
                               word(high_word(source_.counter)), word(source_.pass), n);
    return RandomLanes(
        spec_, element_key(PhiloxKeyOf<RandomWords>{k1.w0, k1.w1}, k1.w2, k1.w3, low, high));
  }

  const Source& source_;
  const StochasticSpec& spec_;
  RandomWords lane_numbers_;
  int64_t sample_begin_ = -1 - (int64_t{1} << 62);  ///< of the sample that was entered
  KeySchedule schedule_;
  RandomWords w2_, w3_;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
