// SPDX-License-Identifier: MIT
// Random bits of stochastic rounding, a pure function of
//   (seed, counter, pass, n, element, event).
// One Philox call gives a block of 128 bits = 4, 8 or 16 lanes, and the top `bits` of a lane are R.
// A block serves what is computed next to each other:
//   RandomBits       the events of one output element of a reduction, which two Philox calls key
//   ElementwiseBits  neighbours in an elementwise op, at one event
// keyed_by_operands hashes the operands of the rounded operation instead, so that equal
// computations round equally wherever they stand.
#pragma once

#include "bits.h"
#include "config.h"
#include "philox.h"

namespace fpdet::inline FPDET_TARGET {

// bits: N of 1..32. variant (P3109): with d = the fraction of the quantum, round away from zero iff
//   'a': floor(d 2^N) + R >= 2^N,  'b': floor(d 2^(N+1)) + 2R+1 >= 2^(N+1),  'c': RNE(d 2^N) + R >=
//   2^N.
struct StochasticSpec {
  int bits = 32;
  char variant = 'a';
  bool keyed_by_operands = false;
  uint64_t seed = 0;
};

// The pass tags of contract and stream; passes of a double backward add kDoubleBackward.
enum PassTag : uint32_t {
  kPassForward = 0,
  kPassGradInput = 1,
  kPassGradWeight = 2,
  kPassGradBias = 3,
  kPassAdd = 4,
  kPassSgd = 5,
  kPassRound = 6,
  kDoubleBackward = 16,
};

template <class U>
struct ElementKeyOf {
  PhiloxKeyOf<U> key{};
  U upper0{};  // upper half of the counter of every block of this element
  U upper1{};
};
using ElementKey = ElementKeyOf<uint32_t>;

// k1, of all elements of a sample, or of all tensors of an elementwise op.
template <class U>
FPDET_HD_INLINE constexpr PhiloxBlockOf<U> sample_key(const PhiloxKeyOf<U>& seed, U counter_low,
                                                      U counter_high, U pass, U n) {
  return philox(seed, PhiloxBlockOf<U>{counter_low, counter_high, pass, n});
}
// k2, of one element: key is (k1[0], k1[1]), the words k1[2] and k1[3].
template <class Key, class U>
FPDET_HD_INLINE constexpr ElementKeyOf<U> element_key(const Key& key, U w2, U w3, U element_low,
                                                      U element_high) {
  const PhiloxBlockOf<U> k2 = philox(key, PhiloxBlockOf<U>{element_low, element_high, w2, w3});
  return ElementKeyOf<U>{{k2.w0, k2.w1}, k2.w2, k2.w3};
}

FPDET_HD constexpr PhiloxBlock sample_key(uint64_t seed, uint64_t counter, uint32_t pass,
                                          uint32_t n) {
  return sample_key(philox_key(seed), low_word(counter), high_word(counter), pass, n);
}
FPDET_HD constexpr ElementKey element_key(uint64_t seed, uint64_t counter, uint32_t pass,
                                          uint32_t n, uint64_t element) {
  const PhiloxBlock k1 = sample_key(seed, counter, pass, n);
  return element_key(PhiloxKey{k1.w0, k1.w1}, k1.w2, k1.w3, low_word(element), high_word(element));
}

// The 128 bits of a block of events: key and upper words are those of an element key.
template <class Key, class U>
FPDET_HD_INLINE constexpr PhiloxBlockOf<U> event_block(const Key& key, U upper0, U upper1,
                                                       U block_low, U block_high) {
  return philox(key, PhiloxBlockOf<U>{block_low, block_high, upper0, upper1});
}

// The 128 bits of a block of neighbours at one event: key is (k1[0], k1[1]), the words k1[2] and
// k1[3]. The words of consecutive blocks, one after the other, are an array of lanes by position.
template <class Key, class U>
FPDET_HD_INLINE constexpr PhiloxBlockOf<U> neighbour_block(const Key& key, U w2, U w3, U block_low,
                                                           U block_high, uint32_t event) {
  return philox(key, PhiloxBlockOf<U>{block_low, block_high, w2 ^ event, w3});
}

// Bits of one lane: the smallest of 8, 16, 32 that holds N.
FPDET_HD constexpr int lane_width(int bits) { return bits <= 8 ? 8 : bits <= 16 ? 16 : 32; }

// The word of a block that holds its bit `bit`.
template <class U>
FPDET_HD_INLINE constexpr U word_at(const PhiloxBlockOf<U>& words, int bit) {
  return bit < 64 ? (bit < 32 ? words.w0 : words.w1) : (bit < 96 ? words.w2 : words.w3);
}

// The lane of `width` bits that begins at bit `bit` of a block.
template <class U>
FPDET_HD_INLINE constexpr U lane_at(const PhiloxBlockOf<U>& words, int bit, int width) {
  return (word_at(words, bit) >> (bit % 32)) & (0xffffffffu >> (32 - width));
}

// The random source of one output element (U a word), or of a vector of them. It remembers its last
// block: consecutive events cost one Philox call per 128 bits. Not shared between threads.
template <class U>
class RandomBitsOf {
 public:
  RandomBitsOf() = default;
  FPDET_HD constexpr RandomBitsOf(const StochasticSpec& spec, const ElementKeyOf<U>& key)
      : key_(key), lane_width_(lane_width(spec.bits)), drop_(lane_width(spec.bits) - spec.bits) {}

  // From now on another element's.
  FPDET_HD_INLINE constexpr void move_to(const ElementKeyOf<U>& key) {
    key_ = key;
    cached_ = false;
  }

  // R of an event (event >= 0): uniform in [0, 2^bits).
  FPDET_HD_INLINE constexpr U at(int64_t event) {
    const uint64_t position = static_cast<uint64_t>(event);
    const auto lanes = static_cast<uint64_t>(128 / lane_width_);
    const uint64_t block = position * static_cast<uint64_t>(lane_width_) / 128;  // no division
    if (!cached_ || block != block_) {
      words_ = event_block(key_.key, key_.upper0, key_.upper1, U{} ^ low_word(block),
                           U{} ^ high_word(block));
      block_ = block;
      cached_ = true;
    }
    const int bit = static_cast<int>(position & (lanes - 1)) * lane_width_;
    return lane_at(words_, bit, lane_width_) >> drop_;
  }

 private:
  ElementKeyOf<U> key_{};
  PhiloxBlockOf<U> words_{};
  uint64_t block_ = 0;
  int lane_width_ = 32;
  int drop_ = 0;
  bool cached_ = false;
};
using RandomBits = RandomBitsOf<uint32_t>;

// The random source of the element at `position` of an elementwise op.
class ElementwiseBits {
 public:
  ElementwiseBits() = default;
  FPDET_HD constexpr ElementwiseBits(const StochasticSpec& spec, const PhiloxBlock& k1,
                                     uint64_t position)
      : k1_(k1),
        block_(position / static_cast<uint64_t>(128 / lane_width(spec.bits))),
        bit_(static_cast<int>(position % static_cast<uint64_t>(128 / lane_width(spec.bits))) *
             lane_width(spec.bits)),
        lane_width_(lane_width(spec.bits)),
        drop_(lane_width(spec.bits) - spec.bits) {}

  // R of an event, 0 <= event < 2^32: uniform in [0, 2^bits).
  FPDET_HD constexpr uint32_t at(int64_t event) const {
    const PhiloxBlock words =
        neighbour_block(PhiloxKey{k1_.w0, k1_.w1}, k1_.w2, k1_.w3, low_word(block_),
                        high_word(block_), static_cast<uint32_t>(event));
    return lane_at(words, bit_, lane_width_) >> drop_;
  }

 private:
  PhiloxBlock k1_{};
  uint64_t block_ = 0;
  int bit_ = 0;
  int lane_width_ = 32;
  int drop_ = 0;
};

// What is rounded, for operand-keyed draws.
enum class Operation : uint32_t {
  Add = 1,
  Multiply = 2,
  Fma = 3,
  Divide = 4,
  Convert = 5,
  Exact = 6  // from 16 on: the functions of functions.h
};

// R as a hash of the operands: one chained Philox call for the binary64 pattern of each, starting
// from (seed, operation). Swapping operands gives other bits.
template <class... Operands>
FPDET_HD constexpr uint32_t operand_bits(const StochasticSpec& spec, Operation operation,
                                         Operands... operands) {
  PhiloxBlock words{low_word(spec.seed), high_word(spec.seed), static_cast<uint32_t>(operation), 0};
  const double list[] = {operands...};
  for (const double x : list) {
    const uint64_t pattern = to_bits(x);
    words = philox(PhiloxKey{words.w0, words.w1},
                   PhiloxBlock{low_word(pattern), high_word(pattern), words.w2, words.w3});
  }
  return words.w0 >> (32 - spec.bits);
}

}  // namespace fpdet::inline FPDET_TARGET
