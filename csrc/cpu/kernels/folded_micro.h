// SPDX-License-Identifier: MIT
// The inner loop for orders of short runs (pairwise, small blocks): a few terms of one panel are
// held in registers, and every row of the tile sums them in the order's own subtree. Only the sum
// of a subtree meets the stack of partials in memory. Per term, run and combination exactly the
// definition's operations, in its order.
#pragma once

#include <cstdint>

#include "micro.h"
#include "step.h"
#include "vec.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int kBlockTerms = 6;  // held at once: 6 x 2 vectors leave 4 of 16 registers

/// Terms of a complete subtree: `runs` runs of `length` terms each.
constexpr bool has_block(int64_t runs, int64_t length) {
  return (runs >= 4 && length == 1) || (runs == 2 && length <= 3);
}

/// Joins steps that are whole runs of one length and a complete subtree into one step; returns the
/// new number of steps. The folds alone say what a subtree is: 8 runs have 0, 1, 0, 2, 0, 1, 0
/// and >= 3.
inline int64_t join_runs(Step* steps, int64_t count) {
  const auto is_block = [&](const Step* s, int64_t rest, int64_t runs, int folds) {
    if (rest < runs || !has_block(runs, s->count) || s[runs - 1].folds < folds) return false;
    for (int64_t i = 0; i < runs; ++i) {
      if (!s[i].begins || s[i].count != s[0].count || s[i].runs != 1) return false;
      if (i + 1 < runs && s[i].folds != ((i & 3) == 3 ? 2 : i & 1)) return false;
    }
    return true;
  };
  int64_t kept = 0;
  for (int64_t i = 0; i < count;) {
    const int64_t runs = is_block(steps + i, count - i, 8, 3)   ? 8
                         : is_block(steps + i, count - i, 4, 2) ? 4
                         : is_block(steps + i, count - i, 2, 1) ? 2
                                                                : 1;
    Step& step = steps[kept++] = steps[i];
    step.folds = steps[i + runs - 1].folds - (runs == 8 ? 3 : static_cast<int32_t>(runs) / 2);
    step.count *= static_cast<int32_t>(runs);
    step.runs *= static_cast<int32_t>(runs);
    i += runs;
  }
  return kept;
}

/// The sum of one subtree for one row and one vector of columns: `b` is the right operand,
/// b[2 * term]; a run that does not begin here goes on from `acc`. An unfused run starts at its
/// first product, not at +0: see root().
template <class T, int Runs, int Length, bool Begins, bool Fused>
FPDET_INLINE V<T> subtree(const T* left, int64_t rows, const V<T>* b, V<T> acc) {
  if constexpr (Runs == 1) {
#pragma GCC unroll 8
    for (int t = 0; t < Length; ++t) {
      const V<T> x = broadcast<T>(left[t * rows]);
      if constexpr (Fused) {
        acc = fma<T>(x, b[2 * t], acc);
      } else {
        acc = Begins && t == 0 ? x * b[0] : acc + x * b[2 * t];
      }
    }
    return acc;
  } else {
    constexpr int kHalf = Runs / 2;
    const V<T> p = subtree<T, kHalf, Length, true, Fused>(left, rows, b, acc);
    const V<T> q = subtree<T, kHalf, Length, true, Fused>(left + kHalf * Length * rows, rows,
                                                          b + 2 * kHalf * Length, acc);
    return p + q;
  }
}

/// Unfused, x + y and (+0 + x) + (+0 + y) differ only where x and y are both -0, and there as x + y
/// and +0 + (x + y) do: so the +0 at which runs start is added once, to the subtree's sum.
template <class T, bool Begins, bool Fused>
FPDET_INLINE V<T> root(V<T> sum) {
  if constexpr (Begins && !Fused) return V<T>{} + sum;
  return sum;
}

/// `folds` combinations follow; the result replaces the lowest partial.
template <class T, int Runs, int Length, bool Begins, bool Fused>
__attribute__((noinline)) void block(const T* left, int64_t rows, const T* right, T* top,
                                     int folds) {
  constexpr int kW = kLanes<T>, kTerms = Runs * Length;
  static_assert(kTerms <= kBlockTerms && (Begins || Runs == 1));
  V<T> b[2 * kTerms];
#pragma GCC unroll 16
  for (int i = 0; i < 2 * kTerms; ++i) b[i] = load<T>(right + i * kW);

  const int64_t pitch = rows * kPanel<T>;  // from level to level
  T* bottom = top - folds * pitch;
  for (int64_t r = 0; r < rows; ++r) {
    V<T> sum[2];
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const V<T> start = Begins ? V<T>{} : load<T>(top + v * kW);
      sum[v] = root<T, Begins, Fused>(
          subtree<T, Runs, Length, Begins, Fused>(left + r, rows, b + v, start));
    }
    const T* partial = top;
    for (int f = 0; f < folds; ++f) {
      partial -= pitch;
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) sum[v] = load<T>(partial + v * kW) + sum[v];
    }
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) store<T>(bottom + v * kW, sum[v]);
    top += kPanel<T>;
    bottom += kPanel<T>;
  }
}

/// The same for 8 runs of one term: one vector of columns after the other, as both would not fit
/// the registers. Half the traffic with the stack outweighs reading the left operand twice.
template <class T, bool Fused>
__attribute__((noinline)) void block_of_8(const T* left, int64_t rows, const T* right, T* top,
                                          int folds) {
  constexpr int kW = kLanes<T>, kTerms = 8;
  const int64_t pitch = rows * kPanel<T>;
  for (int v = 0; v < 2; ++v, right += kW, top += kW) {
    V<T> b[2 * kTerms];
#pragma GCC unroll 8
    for (int t = 0; t < kTerms; ++t) b[2 * t] = in_register<T>(load<T>(right + t * kPanel<T>));
    const auto sum_rows = [&](auto&& fold) __attribute__((always_inline)) {
      T* at = top;
      for (const T *x = left, *end = left + rows; x != end; ++x, at += kPanel<T>) {
        V<T> sum = root<T, true, Fused>(subtree<T, 8, 1, true, Fused>(x, rows, b, V<T>{}));
        fold(at, sum);
      }
    };
    // The most frequent numbers of combinations without a loop.
    if (folds == 0) {
      sum_rows([](T* at, V<T> sum) __attribute__((always_inline)) { store<T>(at, sum); });
    } else if (folds == 1) {
      sum_rows([pitch](T* at, V<T> sum) __attribute__((always_inline)) {
        store<T>(at - pitch, load<T>(at - pitch) + sum);
      });
    } else {
      sum_rows([pitch, folds](T* at, V<T> sum) __attribute__((always_inline)) {
        for (int f = 0; f < folds; ++f) {
          at -= pitch;
          sum = load<T>(at) + sum;
        }
        store<T>(at, sum);
      });
    }
  }
}

template <class T>
using Block = void (*)(const T* left, int64_t rows, const T* right, T* top, int folds);

/// block<T, 1, length, begins, fused>, 1 <= length <= kBlockTerms.
template <class T, bool Fused, int Length = kBlockTerms>
Block<T> find_piece(int length, bool begins) {
  if (length != Length) {
    if constexpr (Length > 1) return find_piece<T, Fused, Length - 1>(length, begins);
  }
  return begins ? block<T, 1, Length, true, Fused> : block<T, 1, Length, false, Fused>;
}

template <class T, bool Fused>
void folded_micro(const MicroArguments<T>& a) {
  const T* left = a.left;
  const T* right = a.right;
  const auto sum = [&](Block<T> kernel, const Step& step, int terms, int folds) {
    kernel(left, a.rows, right, a.stack + step.level * a.rows * kPanel<T>, folds);
    left += terms * a.rows;
    right += terms * kPanel<T>;
  };
  for (const Step *step = a.steps, *end = step + a.step_count; step != end; ++step) {
    if (step->runs == 8) {
      sum(block_of_8<T, Fused>, *step, step->count, step->folds);
    } else if (step->runs == 4) {
      sum(block<T, 4, 1, true, Fused>, *step, step->count, step->folds);
    } else if (step->runs == 2) {
      sum(step->count == 2   ? block<T, 2, 1, true, Fused>
          : step->count == 4 ? block<T, 2, 2, true, Fused>
                             : block<T, 2, 3, true, Fused>,
          *step, step->count, step->folds);
    } else {
      bool begins = step->begins;
      for (int rest = step->count; rest > 0; begins = false) {
        const int terms = rest <= kBlockTerms ? rest : 4;
        rest -= terms;
        sum(find_piece<T, Fused>(terms, begins), *step, terms, rest == 0 ? step->folds : 0);
      }
    }
  }
}

/// How the tiled runner multiplies (tiled_runner.h).
template <class T>
struct FoldedMultiply {
  static constexpr int64_t panels_at_once(int) { return 1; }
  static int64_t prepare(Step* steps, int64_t count) { return join_runs(steps, count); }
  template <bool Fused>
  static Micro<T> find(int, int64_t) {
    return folded_micro<T, Fused>;
  }
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
