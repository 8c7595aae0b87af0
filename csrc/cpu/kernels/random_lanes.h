// SPDX-License-Identifier: MIT
// Random bits of neighbours in an elementwise op: core's Philox over vectors of blocks, several at
// once, as an array of words by element.
#pragma once

#include <type_traits>

#include "elementwise_task.h"
#include "emulated_lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Elements that are drawn for at a time, at most.
inline constexpr int kBlock = 256;

/// The words of `low`, each followed by that of `high`.
FPDET_INLINE Words pairs(RandomWord low, RandomWord high) {
#if defined(__AVX512F__)
  return reinterpret<Words>(_mm512_mask_shuffle_epi32(reinterpret<__m512i>(low.v), 0xaaaa,
                                                      reinterpret<__m512i>(high.v), _MM_PERM_CCAA));
#elif defined(__AVX2__)
  const Words up = high.v << 32;
  return reinterpret<Words>(
      _mm256_blend_epi32(reinterpret<__m256i>(low.v), reinterpret<__m256i>(up), 0xaa));
#else
  return (low.v & 0xffffffffu) | (high.v << 32);
#endif
}

/// The 128 bits of kDoubleLanes blocks, one after the other.
FPDET_INLINE void put_blocks(char* to, RandomWord w0, RandomWord w1, RandomWord w2, RandomWord w3) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lanes count from the least digit");
  constexpr int n = kDoubleLanes;
  const Words first = pairs(w0, w1), second = pairs(w2, w3);
  const auto pick = []<auto lane>(Words x, Words y) {
    return __builtin_shuffle(x, y, vector_of<Words, lane>());
  };
  Words before, after;
  if constexpr (n == 4) {
    // By way of the blocks of even and of odd numbers: shuffles inside of halves are faster.
    const Words even = pick.operator()<[](int l) { return l / 2 * 2 + l % 2 * n; }>(first, second);
    const Words odd =
        pick.operator()<[](int l) { return l / 2 * 2 + l % 2 * n + 1; }>(first, second);
    before = pick.operator()<[](int l) { return l % 2 + l / 2 * n; }>(even, odd);
    after = pick.operator()<[](int l) { return l % 2 + l / 2 * n + 2; }>(even, odd);
  } else {
    before = pick.operator()<[](int l) { return l / 2 + l % 2 * n; }>(first, second);
    after = pick.operator()<[](int l) { return l / 2 + l % 2 * n + n / 2; }>(first, second);
  }
  std::memcpy(to, &before, sizeof before);
  std::memcpy(to + sizeof before, &after, sizeof after);
}

/// What goes through Philox together: as many chains as registers hold.
using Chains = std::conditional_t<kVectorBytes == 64, Two<RandomWords>, RandomWords>;

/// Blocks whose words W are.
template <class W>
inline constexpr int kBlocks = static_cast<int>(sizeof(W) / sizeof(uint64_t));

/// first, first + 1, …
template <class W>
FPDET_INLINE W numbered(uint64_t first) {
  if constexpr (__is_same(W, RandomWord)) {
    return {vector_of<Words, [](int l) { return l; }>() + first};
  } else {
    using Half = decltype(W::a);
    return {numbered<Half>(first), numbered<Half>(first + kBlocks<Half>)};
  }
}

/// Whole vectors of lanes of type T, each a word.
template <class Word, class T>
FPDET_INLINE LanesN<Word, kFull<Word>> widen_lanes(const T* p) {
  constexpr int N = kFull<Word>;
  using To = LanesN<Word, N>;
  // Of conversions in general g++ 12 makes many instructions.
#if defined(__AVX512F__)
  using Narrow = LanesN<T, N>;
  if constexpr (sizeof(Word) == 8) {
    return reinterpret<To>(
        _mm512_maskz_cvtepu32_epi64(0xff, reinterpret<__m256i>(load_vector<Narrow>(p))));
  } else if constexpr (sizeof(T) == 2) {
    return reinterpret<To>(
        _mm512_maskz_cvtepu16_epi32(0xffff, reinterpret<__m256i>(load_vector<Narrow>(p))));
  } else {
    return reinterpret<To>(
        _mm512_maskz_cvtepu8_epi32(0xffff, reinterpret<__m128i>(load_vector<Narrow>(p))));
  }
#elif defined(__AVX2__)
  __m128i x;
  std::memcpy(&x, p, sizeof x);  // bytes fill only half of it
  if constexpr (sizeof(Word) == 8) return reinterpret<To>(_mm256_cvtepu32_epi64(x));
  if constexpr (sizeof(T) == 2) return reinterpret<To>(_mm256_cvtepu16_epi32(x));
  return reinterpret<To>(_mm256_cvtepu8_epi32(x));
#else
  return __builtin_convertvector(load_vector<LanesN<T, N>>(p), To);
#endif
}

/// The random words of some events of consecutive elements: R 2^(32 - N).
class RandomEvents {
 public:
  /// Bit e of `events`: event e will be asked for.
  RandomEvents(const Source& source, const StochasticSpec& spec, uint32_t events)
      : RandomEvents(source, spec, events,
                     events != 0
                         ? sample_key(source.seed, source.counter, source.pass, source.tensor)
                         : PhiloxBlock{}) {}

  /// Draws for the elements i … i + count - 1, count <= kBlock.
  void enter(int64_t i, int64_t count) {
    entered_ = width_ == 32 ? (first_ + static_cast<uint64_t>(i)) % 4 : 0;
    for (uint32_t left = events_; left != 0; left &= left - 1) {
      const int event = __builtin_ctz(left);
      const uint64_t position = first_ + static_cast<uint64_t>(i);
      if (width_ == 32) {
        draw<4>(static_cast<uint32_t>(event), position, count, words_[event]);
        if (bits_ < 32) clear_noise(count, words_[event]);
      } else if (width_ == 16) {
        uint16_t lanes[2 * kLaneWords];
        draw<8>(static_cast<uint32_t>(event), position, count, lanes);
        widen(lanes, position % 8, count, words_[event]);
      } else {
        uint8_t lanes[4 * kLaneWords];
        draw<16>(static_cast<uint32_t>(event), position, count, lanes);
        widen(lanes, position % 16, count, words_[event]);
      }
    }
  }

  /// Those of element i: blocks that end before a multiple of this waste no lane.
  int64_t up_to_border(int64_t i) const {
    return kBlock - static_cast<int64_t>((first_ + static_cast<uint64_t>(i)) % 16);
  }

  /// From element number `place` of those entered on.
  FPDET_INLINE const uint32_t* words(int64_t event, int64_t place) const {
    return words_[event] + entered_ + static_cast<uint64_t>(place);
  }
  int bits() const { return bits_; }

 private:
  static constexpr int kEvents = 28;  // of one element, at most
  static constexpr int kStep = kBlocks<Chains>;
  static constexpr int kRow =
      kBlock + 4 + 4 * kStep + 16;  // drawn beyond the end, loaded beyond it
  static constexpr int kLaneWords = kBlock / 2 + 4 + 4 * kStep;

  RandomEvents(const Source& source, const StochasticSpec& spec, uint32_t events,
               const PhiloxBlock& k1)
      : first_(source.first),
        bits_(spec.bits),
        width_(lane_width(spec.bits)),
        events_(events),
        w2_(k1.w2),
        w3_(k1.w3) {
    key_.move_to({all_lanes(k1.w0), all_lanes(k1.w1)});
  }

  /// The blocks that hold the lanes from `position` on, PerBlock in each.
  template <int PerBlock>
  void draw(uint32_t event, uint64_t position, int64_t count, void* lanes) const {
    constexpr uint64_t kLast = ~uint64_t{0} / PerBlock;  // positions begin anew after 2^64
    const uint64_t begin = position / PerBlock;
    const uint64_t blocks = (position % PerBlock + static_cast<uint64_t>(count) - 1) / PerBlock + 1;
    // Blocks whose numbers have one upper word all the way, as nearly always.
    if (low_word(begin) + blocks + kStep <= uint64_t{1} << 32) {
      draw_blocks(event, begin, blocks, static_cast<char*>(lanes));
    } else {
      draw_any(event, begin, blocks, kLast, static_cast<char*>(lanes));
    }
  }

  [[gnu::noinline]] void draw_blocks(uint32_t event, uint64_t begin, uint64_t blocks,
                                     char* to) const {
    const auto high = spread<Chains>(high_word(begin));
    const auto w2 = spread<Chains>(w2_), w3 = spread<Chains>(w3_);
    auto low = numbered<Chains>(begin);
    for (uint64_t done = 0; done < blocks; done += kStep, to += 16 * kStep) {
      put(to, neighbour_block(ScheduledKey<RandomWord>{key_}, w2, w3, low, high, event));
      low = low + kStep;
    }
  }
  [[gnu::noinline]] void draw_any(uint32_t event, uint64_t begin, uint64_t blocks, uint64_t last,
                                  char* to) const {
    const auto w2 = spread<Chains>(w2_), w3 = spread<Chains>(w3_);
    for (uint64_t done = 0; done < blocks; done += kStep, to += 16 * kStep) {
      const auto low = numbered<Chains>(begin + done) & last;
      put(to, neighbour_block(ScheduledKey<RandomWord>{key_}, w2, w3, low, low >> 32, event));
    }
  }

  FPDET_INLINE static void put(char* to, const PhiloxBlockOf<RandomWord>& w) {
    put_blocks(to, w.w0, w.w1, w.w2, w.w3);
  }
  template <class W>
  FPDET_INLINE static void put(char* to, const PhiloxBlockOf<Two<W>>& w) {
    put(to, PhiloxBlockOf<W>{w.w0.a, w.w1.a, w.w2.a, w.w3.a});
    put(to + 16 * kBlocks<W>, PhiloxBlockOf<W>{w.w0.b, w.w1.b, w.w2.b, w.w3.b});
  }

  /// Lanes of type T from number `first` on, each to the top of a word.
  template <class T>
  void widen(const T* lanes, uint64_t first, int64_t count, uint32_t* to) const {
    constexpr int N = kFull<uint32_t>;
    constexpr int kUp = 32 - 8 * static_cast<int>(sizeof(T));
    const uint32_t mask = ~uint32_t{0} << (32 - bits_);
    for (int64_t i = 0; i < count; i += N) {
      const auto words = widen_lanes<uint32_t>(lanes + first + i) << kUp & mask;
      std::memcpy(to + i, &words, sizeof words);
    }
  }

  [[gnu::noinline]] void clear_noise(int64_t count, uint32_t* words) const {
    constexpr int N = kFull<uint32_t>;
    const uint32_t mask = ~uint32_t{0} << (32 - bits_);
    for (int64_t i = 0; i < count + 3; i += N) {  // an element may stand 3 places further on
      const auto cleared = load_vector<LanesN<uint32_t, N>>(words + i) & mask;
      std::memcpy(words + i, &cleared, sizeof cleared);
    }
  }

  const uint64_t first_;
  const int bits_, width_;
  const uint32_t events_;
  uint64_t entered_ = 0;
  KeySchedule<RandomWord> key_;
  const uint32_t w2_, w3_;
  // Not initialised: most events are never asked for.
  alignas(64) uint32_t words_[kEvents][kRow];
};

/// Those of kDoubleLanes elements.
class LaneEvents {
 public:
  /// The elements from number `place` of those entered on.
  FPDET_INLINE LaneEvents(const RandomEvents& events, int64_t place)
      : events_(events), place_(place) {}

  FPDET_INLINE RandomWord top(int64_t event) const {
    return {widen_lanes<uint64_t>(events_.words(event, place_))};
  }
  /// R.
  FPDET_INLINE RandomWord at(int64_t event) const { return top(event) >> (32 - events_.bits()); }

 private:
  const RandomEvents& events_;
  const int64_t place_;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
