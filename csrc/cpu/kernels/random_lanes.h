// SPDX-License-Identifier: MIT
// Random bits of runs of consecutive elements: core's Philox over vectors, several at once.
#pragma once

#include "elementwise_task.h"
#include "emulated_lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Vectors that go through Philox together, so that its chain of multiplications is hidden.
inline constexpr int kChains = 2;
inline constexpr int kRandomLanes = kDoubleLanes * kChains;

/// The keys of all rounds, in every lane, of a Philox whose key does not vary.
struct KeySchedule {
  RandomWord k0[10], k1[10];

  void set(PhiloxKey key) {
    for (int round = 0; round < 10; ++round) {
      k0[round] = all_lanes(key.first());
      k1[round] = all_lanes(key.second());
      key.step();
    }
  }
};
struct ScheduledKey {
  const KeySchedule& schedule;
  int round = 0;

  FPDET_INLINE RandomWord first() const { return schedule.k0[round]; }
  FPDET_INLINE RandomWord second() const { return schedule.k1[round]; }
  FPDET_INLINE void step() { ++round; }
};

using RunKey = ElementKeyOf<RandomWords>;

/// The keys of runs of kRandomLanes consecutive elements.
class RandomRuns {
 public:
  explicit RandomRuns(const Source& source) : source_(source) {
    seed_.set(philox_key(source.seed));
    for (int l = 0; l < kRandomLanes; ++l) numbers_[l] = static_cast<uint64_t>(l);
  }

  /// Of the elements i, i + 1, …
  FPDET_INLINE RunKey of(int64_t i) {
    // Elements lie in a sample most of the time: no division then.
    if (i < sample_begin_ || i + kRandomLanes > sample_begin_ + source_.per_sample) {
      if (source_.per_sample < kRandomLanes ||
          i % source_.per_sample + kRandomLanes > source_.per_sample) {
        return of_several_samples(i);
      }
      enter(i / source_.per_sample);
    }
    const auto first = static_cast<uint64_t>(i - sample_begin_);
    const RandomWords low{{load_vector<Words>(numbers_) + first},
                          {load_vector<Words>(numbers_ + kDoubleLanes) + first}};
    return element_key(ScheduledKey{sample_}, w2_, w3_, low, low >> 32);
  }

 private:
  [[gnu::noinline]] void enter(int64_t sample) {
    const PhiloxBlock k1 =
        sample_key(philox_key(source_.seed), low_word(source_.counter), high_word(source_.counter),
                   source_.pass, source_.first_sample + static_cast<uint32_t>(sample));
    sample_.set({k1.w0, k1.w1});
    w2_ = every_lane(k1.w2);
    w3_ = every_lane(k1.w3);
    sample_begin_ = sample * source_.per_sample;
  }

  /// Samples are short, or one ends here: each lane has its own.
  [[gnu::noinline]] RunKey of_several_samples(int64_t i) {
    if (i != next_) {
      next_sample_ = i / source_.per_sample;
      next_element_ = i % source_.per_sample;
    }
    uint64_t samples[kRandomLanes], elements[kRandomLanes];
    for (int l = 0; l < kRandomLanes; ++l) {
      samples[l] = source_.first_sample + static_cast<uint32_t>(next_sample_);
      elements[l] = static_cast<uint64_t>(next_element_);
      const bool last = ++next_element_ == source_.per_sample;
      next_element_ = last ? 0 : next_element_;
      next_sample_ += last ? 1 : 0;
    }
    next_ = i + kRandomLanes;
    const auto load = [](const uint64_t* p) {
      return RandomWords{{load_vector<Words>(p)}, {load_vector<Words>(p + kDoubleLanes)}};
    };
    const RandomWords low = load(elements);
    const auto k1 = philox(ScheduledKey{seed_},
                           PhiloxBlockOf<RandomWords>{every_lane(low_word(source_.counter)),
                                                      every_lane(high_word(source_.counter)),
                                                      every_lane(source_.pass), load(samples)});
    return element_key(PhiloxKeyOf<RandomWords>{k1.w0, k1.w1}, k1.w2, k1.w3, low, low >> 32);
  }

  const Source source_;
  uint64_t numbers_[kRandomLanes];
  int64_t sample_begin_ = -1 - (int64_t{1} << 62);  ///< of the sample that was entered
  int64_t next_ = -1, next_sample_ = 0, next_element_ = 0;
  KeySchedule seed_, sample_;
  RandomWords w2_, w3_;
};

/// R of one event of the elements of a run.
FPDET_INLINE RandomWords random_bits(const StochasticSpec& spec, const RunKey& key, int64_t event) {
  return RandomBitsOf<RandomWords>(spec, key).at(event);
}

/// R of several events of the elements of runs, drawn run by run, read vector by vector.
class RandomEvents {
 public:
  /// Bit e of `events`: event e will be asked for.
  RandomEvents(const Source& source, const StochasticSpec& spec, uint32_t events)
      : runs_(source),
        width_(lane_width(spec.bits)),
        drop_(lane_width(spec.bits) - spec.bits),
        mask_(0xffffffffu >> (32 - lane_width(spec.bits))) {
    for (int event = 0; event < kEvents; ++event) {
      if ((events >> event & 1) != 0) blocks_ |= 1u << (event * width_ / 128);
    }
  }

  FPDET_INLINE void enter(int64_t i) {
    if (blocks_ == 0) return;
    const RunKey key = runs_.of(i);
    for (uint32_t left = blocks_; left != 0; left &= left - 1) {
      const int block = __builtin_ctz(left);
      const RandomWords low = every_lane(static_cast<uint64_t>(block));
      const PhiloxBlockOf<RandomWords> words = random_block(key, low, RandomWords{});
      const RandomWords list[] = {words.w0, words.w1, words.w2, words.w3};
      for (int w = 0; w < 4; ++w) {
        words_[0][4 * block + w] = list[w].a;
        words_[1][4 * block + w] = list[w].b;
      }
    }
  }

  /// Of the run's vector v.
  FPDET_INLINE void choose(int v) { vector_ = words_[v]; }
  FPDET_INLINE RandomWord at(int64_t event) const {
    const int bit = static_cast<int>(event) * width_;
    return ((vector_[bit / 32] >> (bit % 32)) & mask_) >> drop_;
  }

 private:
  static constexpr int kEvents = 32;  // of one element, at most
  static_assert(kChains == 2);

  RandomRuns runs_;
  int width_, drop_;
  uint32_t mask_, blocks_ = 0;
  const RandomWord* vector_ = words_[0];
  RandomWord words_[kChains][kEvents]{};  // of 32 bits at most: 8 blocks
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
