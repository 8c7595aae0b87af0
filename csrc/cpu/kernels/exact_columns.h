// SPDX-License-Identifier: MIT
// Bounds of the columns of a tile (core/exact_stages.h), gathered panel by panel while the packed
// panel is in the cache.
#pragma once

#include "exact_bounds.h"
#include "micro.h"
#include "plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Columns with more digits than this have no known quantum: stage 1 would not hold for sums of
/// such products, and the least magnitude would be sought in vain.
inline constexpr int kFewDigits = 16;

struct ColumnBounds {
  double* norm;       ///< sums of squares until finish()
  double* quantum;    ///< least magnitudes until finish()
  int64_t* patterns;  ///< or-ed: 0 where all are +0
  double* ratio;      ///< of each panel, finish()ed: the least norm / quantum

  static constexpr int64_t kBytesPerPanel = (3 * kPanel<double> + 1) * sizeof(double);

  void place(char* memory, int64_t columns) {
    norm = reinterpret_cast<double*>(memory);
    quantum = norm + columns;
    patterns = reinterpret_cast<int64_t*>(quantum + columns);
    ratio = quantum + 2 * columns;
  }

  void clear(int64_t columns) {
    for (int64_t c = 0; c < columns; ++c) {
      norm[c] = 0.0;
      quantum[c] = __builtin_inf();
      patterns[c] = 0;
    }
  }

  /// A packed panel [term][kPanel], columns c and following.
  __attribute__((noinline)) void observe_panel(const double* packed, int64_t terms, int64_t c) {
    // Two terms at a time, so that the sums of squares do not wait for each other.
    constexpr int kW = kLanes<double>, kHalf = kPanel<double> / kW;
    Statistics<2 * kHalf> s;
    Statistics<kHalf> last;
    const double* rest = packed + terms / 2 * 2 * kPanel<double>;
    observe<2 * kHalf>(packed, terms / 2, s);
    observe<kHalf>(rest, terms % 2, last);
    I<double> seen{};
    for (int v = 0; v < kHalf; ++v) {
      double* squares = norm + c + v * kW;
      kernels::store<double>(
          squares, load<double>(squares) + s.squares[v] + s.squares[v + kHalf] + last.squares[v]);
      I<double> any;
      std::memcpy(&any, patterns + c + v * kW, sizeof any);
      any |= s.patterns[v] | s.patterns[v + kHalf] | last.patterns[v];
      std::memcpy(patterns + c + v * kW, &any, sizeof any);
      seen |= any;
    }
    int64_t all = 0;
    for (int l = 0; l < kW; ++l) all |= seen[l];
    const bool few = (all & ((int64_t{1} << (53 - kFewDigits)) - 1)) == 0;
    if (few) {
      observe_least<2 * kHalf>(packed, terms / 2, s);
      observe_least<kHalf>(rest, terms % 2, last);
    }
    for (int v = 0; v < kHalf; ++v) {
      double* least = quantum + c + v * kW;
      V<double> m = load<double>(least);
      m = least_of(least_of(least_of(m, s.least[v]), s.least[v + kHalf]), last.least[v]);
      kernels::store<double>(least, few ? m : V<double>{});
    }
  }

  void finish(int64_t columns) {
    for (int64_t c = 0; c < columns; ++c) {
      norm[c] = norm_from(norm[c]);
      quantum[c] = quantum_from(quantum[c], static_cast<uint64_t>(patterns[c]));
    }
    for (int64_t c = 0; c < columns; c += kPanel<double>) {
      double least = __builtin_inf();
      for (int64_t i = c; i < c + kPanel<double>; ++i) {
        const double r = norm[i] / quantum[i];
        least = r >= least ? least : r;  // NaN stays unless another replaces it: neither settles
      }
      ratio[c / kPanel<double>] = least;
    }
  }
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
