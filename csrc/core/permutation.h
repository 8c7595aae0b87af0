// SPDX-License-Identifier: MIT
// The permutations of shuffled orders: things 0..n-1 sorted by (Philox(seed, i), i).
//
//   vary=never    the same for every output element and call
//   vary=call     also by the stream's counter
//   vary=element  also by the output element's key (random.h) made from the order's seed
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "config.h"
#include "order.h"
#include "philox.h"
#include "random.h"

namespace fpdet::inline FPDET_TARGET {

/// What thing i is sorted by. `key` is used under vary=element alone.
FPDET_HD constexpr uint64_t permutation_key(const Order& order, uint64_t i, uint64_t counter,
                                            const ElementKey& key) {
  // Keeps call 0 of vary=call apart from vary=never, and an element's permutation from its random
  // bits.
  constexpr uint32_t kTag = 0x80000000u;
  PhiloxKey from = philox_key(order.seed);
  uint32_t upper0 = 0, upper1 = 0;
  if (order.vary == Vary::Call) {
    upper0 = low_word(counter) ^ kTag;
    upper1 = high_word(counter);
  } else if (order.vary == Vary::Element) {
    from = key.key;
    upper0 = key.upper0 ^ kTag;
    upper1 = key.upper1;
  }
  const PhiloxBlock words = philox(from, PhiloxBlock{low_word(i), high_word(i), upper0, upper1});
  return words.w0 | (uint64_t{words.w1} << 32);
}

/// The things' sequence in memory (host).
class Permutation {
 public:
  /// `key` is used under vary=element alone.
  Permutation(const Order& order, int64_t terms, uint64_t counter, const ElementKey& key = {}) {
    if (!order.permuted()) return;
    const Schedule schedule(order, terms);
    std::vector<std::pair<uint64_t, int64_t>> keyed;
    keyed.reserve(static_cast<size_t>(schedule.things()));
    for (int64_t j = 0; j < schedule.things(); ++j) {
      const int64_t i = schedule.thing(j);
      keyed.emplace_back(permutation_key(order, static_cast<uint64_t>(i), counter, key), i);
    }
    std::sort(keyed.begin(), keyed.end());
    sequence_.reserve(keyed.size());
    for (const auto& [unused, i] : keyed) sequence_.push_back(i);
  }

  /// For Schedule; null where the order has no permutation.
  const int64_t* data() const { return sequence_.empty() ? nullptr : sequence_.data(); }

 private:
  std::vector<int64_t> sequence_;
};

}  // namespace fpdet::inline FPDET_TARGET
