// SPDX-License-Identifier: MIT
// Random bits of stochastic rounding, a pure function of
//   (seed, counter, pass, n, element within the sample, event).
// Two Philox calls key one output element; then every call gives 128 bits = 4, 8 or 16 lanes, one
// lane per event, of which the top `bits` are R. keyed_by_operands hashes the operands of the
// rounded operation instead, so that equal computations round equally wherever they stand.
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

struct ElementKey {
  PhiloxKey key{0, 0};
  uint32_t upper0 = 0;  // upper half of the counter of every block of this element
  uint32_t upper1 = 0;
};

FPDET_HD constexpr ElementKey element_key(uint64_t seed, uint64_t counter, uint32_t pass,
                                          uint32_t n, uint64_t element) {
  const PhiloxBlock k1 = philox(philox_key(seed), {low_word(counter), high_word(counter), pass, n});
  const PhiloxBlock k2 =
      philox({k1.w0, k1.w1}, {low_word(element), high_word(element), k1.w2, k1.w3});
  return ElementKey{{k2.w0, k2.w1}, k2.w2, k2.w3};
}

// Bits of one lane: the smallest of 8, 16, 32 that holds N.
FPDET_HD constexpr int lane_width(int bits) { return bits <= 8 ? 8 : bits <= 16 ? 16 : 32; }

// The random source of one output element. It remembers its last block: consecutive events cost one
// Philox call per 128 bits. Not shared between threads.
class RandomBits {
 public:
  RandomBits() = default;
  FPDET_HD constexpr RandomBits(const StochasticSpec& spec, const ElementKey& key)
      : key_(key), lane_width_(lane_width(spec.bits)), drop_(lane_width(spec.bits) - spec.bits) {}

  // R of an event (event >= 0): uniform in [0, 2^bits).
  FPDET_HD constexpr uint32_t at(int64_t event) {
    const uint64_t position = static_cast<uint64_t>(event);
    const uint64_t lanes = static_cast<uint64_t>(128 / lane_width_);
    const uint64_t block = position / lanes;
    if (!cached_ || block != block_) {
      words_ = philox(key_.key, {low_word(block), high_word(block), key_.upper0, key_.upper1});
      block_ = block;
      cached_ = true;
    }
    const int bit = static_cast<int>(position % lanes) * lane_width_;
    const uint32_t word =
        bit < 64 ? (bit < 32 ? words_.w0 : words_.w1) : (bit < 96 ? words_.w2 : words_.w3);
    const uint32_t lane = word >> (bit % 32);
    return (lane_width_ == 32 ? lane : lane & ((uint32_t{1} << lane_width_) - 1)) >> drop_;
  }

 private:
  ElementKey key_{};
  PhiloxBlock words_{0, 0, 0, 0};
  uint64_t block_ = 0;
  int lane_width_ = 32;
  int drop_ = 0;
  bool cached_ = false;
};

// What is rounded, for operand-keyed draws.
enum class Operation : uint32_t {
  Add = 1,
  Multiply = 2,
  Fma = 3,
  Divide = 4,
  Convert = 5,
  Exact = 6
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
    words =
        philox({words.w0, words.w1}, {low_word(pattern), high_word(pattern), words.w2, words.w3});
  }
  return words.w0 >> (32 - spec.bits);
}

}  // namespace fpdet::inline FPDET_TARGET
