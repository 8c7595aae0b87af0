// SPDX-License-Identifier: MIT
// Loops over independent items, as the ops ask for them. Who runs them, the caller says: torch's
// pool (csrc/torch/parallel.h), or a test's own threads.
#pragma once

#include <functional>

#include "pieces.h"

namespace fpdet::cpu {

/// Calls body on one or more threads, which share the range [0, count) among them in pieces of at
/// least `grain`, where that much is left; passes exceptions on.
using ParallelFor =
    std::function<void(int64_t count, int64_t grain, const std::function<void(Pieces&)>& body)>;

/// The same for a body that takes one piece after the other as body(begin, end).
template <class Body>
void for_each_piece(const ParallelFor& parallel_for, int64_t count, int64_t grain,
                    const Body& body) {
  parallel_for(count, grain, [&](Pieces& pieces) {
    for (int64_t begin = 0, end = 0; pieces.next(begin, end);) body(begin, end);
  });
}

/// The whole range, for a body called on this thread.
class WholeRange final : public Pieces {
 public:
  explicit WholeRange(int64_t count) : count_(count) {}
  bool next(int64_t& begin, int64_t& end) override {
    begin = 0;
    end = count_;
    count_ = 0;
    return end > 0;
  }

 private:
  int64_t count_;
};

}  // namespace fpdet::cpu
