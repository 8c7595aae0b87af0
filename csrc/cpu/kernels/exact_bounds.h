// SPDX-License-Identifier: MIT
// The statistics of packed operands that the exact method's tests need (core/exact_stages.h): per
// row or column the sum of squares, all patterns or-ed, and the least magnitude that is not zero.
#pragma once

#include "../../core/exact_stages.h"
#include "vec.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Of the lanes of a few vectors.
template <int Vectors>
struct Statistics {
  V<double> squares[Vectors] = {};
  I<double> patterns[Vectors] = {};
  V<double> least[Vectors];

  Statistics() {
    for (V<double>& v : least) v = V<double>{} + __builtin_inf();
  }
};

/// Adds `count` rounds of vectors to squares and patterns.
template <int Vectors>
__attribute__((noinline)) void observe(const double* p, int64_t count, Statistics<Vectors>& s) {
  V<double> squares[Vectors];
  I<double> patterns[Vectors];
#pragma GCC unroll 16
  for (int v = 0; v < Vectors; ++v) {
    squares[v] = s.squares[v];
    patterns[v] = s.patterns[v];
  }
  for (int64_t i = 0; i < count; ++i, p += Vectors * kLanes<double>) {
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      const V<double> x = load<double>(p + v * kLanes<double>);
      squares[v] = fma<double>(x, x, squares[v]);
      patterns[v] |= reinterpret_cast<I<double>>(x);
    }
  }
#pragma GCC unroll 16
  for (int v = 0; v < Vectors; ++v) {
    s.squares[v] = squares[v];
    s.patterns[v] = patterns[v];
  }
}

FPDET_INLINE V<double> least_of(V<double> least, V<double> x) {
  const I<double> magnitude = reinterpret_cast<I<double>>(x) & ~(I<double>{} + INT64_MIN);
  const V<double> m = reinterpret_cast<V<double>>(magnitude);
  return m < least && magnitude != 0 ? m : least;
}

/// The same for `least`.
template <int Vectors>
__attribute__((noinline)) void observe_least(const double* p, int64_t count,
                                             Statistics<Vectors>& s) {
  V<double> least[Vectors];
#pragma GCC unroll 16
  for (int v = 0; v < Vectors; ++v) least[v] = s.least[v];
  for (int64_t i = 0; i < count; ++i, p += Vectors * kLanes<double>) {
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      least[v] = least_of(least[v], load<double>(p + v * kLanes<double>));
    }
  }
#pragma GCC unroll 16
  for (int v = 0; v < Vectors; ++v) s.least[v] = least[v];
}

/// What is known of one row or column once all of it has been seen.
struct Observed {
  double squares = 0.0;
  double least = __builtin_inf();
  uint64_t any = 0;                  ///< patterns or-ed
  bool plus = false, minus = false;  ///< some element has this sign
};

/// Rows of a packed micro-tile, [term][row]: the stream of `terms` * `rows` values, read by
/// vectors, has period `rows` vectors.
template <int Rows>
void observe_rows(const double* packed, int64_t terms, Observed (&rows)[kMaxRows]) {
  constexpr int kW = kLanes<double>;
  Statistics<Rows> s;
  const int64_t rounds = terms / kW;
  observe<Rows>(packed, rounds, s);
  observe_least<Rows>(packed, rounds, s);
  const auto add = [&](Observed& row, double squares, double least, uint64_t any) {
    row.squares += squares;
    row.any |= any;
    if (least < row.least) row.least = least;
  };
  for (int v = 0; v < Rows; ++v) {
    for (int l = 0; l < kW; ++l) {
      add(rows[(v * kW + l) % Rows], s.squares[v][l], s.least[v][l],
          static_cast<uint64_t>(s.patterns[v][l]));
    }
  }
  for (int64_t t = rounds * kW; t < terms; ++t) {
    for (int r = 0; r < Rows; ++r) {
      const double x = packed[t * Rows + r];
      const double magnitude = from_bits(magnitude_bits(x));
      add(rows[r], x * x, is_zero(x) ? __builtin_inf() : magnitude, to_bits(x));
    }
  }
  for (int r = 0; r < Rows; ++r) {  // as a rule two or three terms settle it
    Observed& row = rows[r];
    for (int64_t t = 0; t < terms && !(row.plus && row.minus); ++t) {
      (is_negative(packed[t * Rows + r]) ? row.minus : row.plus) = true;
    }
  }
}

using ObserveRows = void (*)(const double*, int64_t, Observed (&)[kMaxRows]);
template <int Rows = kMaxRows>
ObserveRows find_observe_rows(int rows) {
  if constexpr (Rows > 1) {
    if (rows != Rows) return find_observe_rows<Rows - 1>(rows);
  }
  return observe_rows<Rows>;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
