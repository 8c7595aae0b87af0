// SPDX-License-Identifier: MIT
// Orders of summation: each is a tree over the T terms of one output element.
//
// Every tree order is a *schedule*. Positions 0..T-1 are cut into runs; run j visits the arithmetic
// progression first, first+stride, ... of positions and leaves its sum on a stack of partials; then
// folds(j) times the two topmost partials p (below) and q (top) become round(p + q). One partial
// remains. A permutation, where the order has one, maps positions to terms (shuffled) or the
// sequence of runs to parts (split(s).shuffled(seed)).
//
// kahan and neumaier are one run with a compensation; exact has no tree (exact.h).
#pragma once

#include <cstdint>

#include "config.h"

namespace fpdet::inline FPDET_TARGET {

enum class OrderKind : int {
  Sequential,
  Reverse,
  Blocked,
  Split,
  Strided,
  Shuffled,
  SplitShuffled,
  Kahan,
  Neumaier,
  Exact,
};

/// What a shuffled order draws its permutation from, besides its seed.
enum class Vary : int { Never, Call, Element };

/// `n` is the block length, the number of parts or the number of lanes (1 to 2^31), as the kind has
/// it.
struct Order {
  OrderKind kind = OrderKind::Blocked;
  int64_t n = 512;
  uint64_t seed = 0;
  Vary vary = Vary::Never;

  FPDET_HD constexpr bool compensated() const {
    return kind == OrderKind::Kahan || kind == OrderKind::Neumaier;
  }
  FPDET_HD constexpr bool exact() const { return kind == OrderKind::Exact; }
  FPDET_HD constexpr bool is_tree() const { return !compensated() && !exact(); }
  FPDET_HD constexpr bool permuted() const {
    return kind == OrderKind::Shuffled || kind == OrderKind::SplitShuffled;
  }
  friend constexpr bool operator==(const Order&, const Order&) = default;
};

/// Positions first, first + stride, ... (count of them).
struct Run {
  int64_t first;
  int64_t stride;
  int64_t count;
};

/// Reductions of more terms than this are refused, so products of term counts fit int64.
inline constexpr int64_t kMaxTerms = int64_t{1} << 31;

/// The order's tree over `terms` terms, as runs and folds.
class Schedule {
 public:
  /// `permutation` lists the terms (shuffled) or the non-empty parts (split(s).shuffled) in the
  /// sequence in which they are visited; it outlives the schedule (permutation.h makes it).
  FPDET_HD Schedule(const Order& order, int64_t terms, const int64_t* permutation = nullptr)
      : order_(order), terms_(terms), permutation_(permutation) {}

  /// Number of runs, none of them empty.
  FPDET_HD int64_t runs() const {
    if (terms_ == 0) return 0;
    switch (order_.kind) {
      case OrderKind::Blocked:
        return (terms_ - 1) / order_.n + 1;
      case OrderKind::Split:
      case OrderKind::SplitShuffled:
      case OrderKind::Strided:
        return order_.n < terms_ ? order_.n : terms_;
      default:
        return 1;
    }
  }

  FPDET_HD Run run(int64_t j) const {
    switch (order_.kind) {
      case OrderKind::Reverse:
        return {terms_ - 1, -1, terms_};
      case OrderKind::Blocked: {
        const int64_t first = j * order_.n;
        return {first, 1, order_.n < terms_ - first ? order_.n : terms_ - first};
      }
      case OrderKind::Split:
        return part(nonempty_part(j));
      case OrderKind::SplitShuffled:
        return part(permutation_[j]);
      case OrderKind::Strided:
        return {j, order_.n, (terms_ - 1 - j) / order_.n + 1};
      default:
        return {0, 1, terms_};
    }
  }

  /// How many pairs on top of the stack are combined once run j is done.
  FPDET_HD int folds(int64_t j) const {
    switch (order_.kind) {
      case OrderKind::Split:
      case OrderKind::SplitShuffled:
        return j > 0 ? 1 : 0;  // first to last
      case OrderKind::Blocked:
      case OrderKind::Strided:
        return pairwise_folds(j, runs());
      default:
        return 0;
    }
  }

  /// Combinations in the whole tree.
  FPDET_HD int64_t combinations() const { return runs() > 0 ? runs() - 1 : 0; }

  /// The term that stands at a position of a run.
  FPDET_HD int64_t term(int64_t position) const {
    return order_.kind == OrderKind::Shuffled ? permutation_[position] : position;
  }

  FPDET_HD int64_t terms() const { return terms_; }

  /// What a permutation puts in sequence: terms, or the parts of split that are not empty.
  FPDET_HD int64_t things() const { return order_.kind == OrderKind::Shuffled ? terms_ : runs(); }
  FPDET_HD int64_t thing(int64_t j) const {
    return order_.kind == OrderKind::Shuffled ? j : nonempty_part(j);
  }

  /// The j-th part of split that is not empty: with fewer terms than parts, the one of term j.
  FPDET_HD int64_t nonempty_part(int64_t j) const {
    return order_.n <= terms_ ? j : ((j + 1) * order_.n - 1) / terms_;
  }

  /// Partials that can lie on the stack at once: pairwise folding keeps one per binary digit.
  static constexpr int kMaxDepth = 34;

 private:
  /// Splitting m partials at the largest power of two below m is a binary counter: partial j closes
  /// one subtree per trailing one of j, and the last one closes all that are left.
  FPDET_HD static int pairwise_folds(int64_t j, int64_t runs) {
    if (j + 1 == runs) {
      int open = -1;
      for (int64_t bits = runs; bits != 0; bits &= bits - 1) ++open;  // subtrees left at the end
      return open + trailing_ones(j);
    }
    return trailing_ones(j);
  }
  FPDET_HD static int trailing_ones(int64_t j) {
    int count = 0;
    for (; (j & 1) != 0; j >>= 1) ++count;
    return count;
  }

  /// Part j of split: terms floor(j T / s) to floor((j + 1) T / s) - 1.
  FPDET_HD Run part(int64_t j) const {
    const int64_t first = j * terms_ / order_.n;
    return {first, 1, (j + 1) * terms_ / order_.n - first};
  }

  Order order_;
  int64_t terms_;
  const int64_t* permutation_;
};

}  // namespace fpdet::inline FPDET_TARGET
