// SPDX-License-Identifier: MIT
// From float64 sums to outputs: the stages of the exact method one after the other, and their
// counts.
#pragma once

#include "exact_rest.h"
#include "exact_settle.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// What a row's outputs share, but for the bias.
struct LeftBounds {
  double norm, quantum;
  bool plus, minus;  ///< some element has this sign
};

inline LeftBounds left_bounds_of(const Observed& row) {
  return {norm_from(row.squares), quantum_from(row.least, row.any), row.plus, row.minus};
}

/// `bias`: or null.
inline RowBounds row_bounds(const LeftBounds& left, const double* bias, Rounding rounding) {
  const bool mixed = left.plus && left.minus;
  RowBounds row{left.norm,
                left.quantum,
                mixed || bias == nullptr,
                mixed ? cancelled_zero(rounding) : zero(left.minus),
                0.0,
                0.0,
                __builtin_inf()};
  if (bias != nullptr) {
    row.bias = *bias;
    row.bias_magnitude = from_bits(magnitude_bits(*bias));
    row.bias_quantum = quantum_from(row.bias_magnitude, to_bits(*bias));
  }
  return row;
}

template <class S>
class ExactSettler {
 public:
  explicit ExactSettler(const Task& task) : task_(task) {}
  ~ExactSettler() {
    for (int i = 0; i < kExactStages; ++i) {
      __atomic_fetch_add(task_.stage_counts + i, counts_[i], __ATOMIC_RELAXED);
    }
  }
  ExactSettler(const ExactSettler&) = delete;
  ExactSettler& operator=(const ExactSettler&) = delete;

  /// Of outputs that another has settled.
  void count(int stage, int64_t outputs) { counts_[stage] += outputs; }

  /// Results of n of Lanes sums; column(l) tells the digits of lane l, bits of `counted` the lanes
  /// that have not been counted before.
  template <int Lanes, class Column>
  void settle(const PanelTest& test, int n, uint32_t counted, Unsettled& at, Column&& column,
              S* results) {
    const PanelLanes lanes = test_lanes<Lanes>(test, n, at, column, results);
    const uint32_t all = (uint32_t{1} << n) - 1;
    const int64_t exact = __builtin_popcount(lanes.settled & lanes.exact & all & counted);
    counts_[0] += exact;
    counts_[1] += __builtin_popcount(lanes.settled & all & counted) - exact;
    for (uint32_t rest = all & ~lanes.settled; rest != 0; rest &= rest - 1) {
      const int l = __builtin_ctz(rest);
      at.col = column(l);
      double result;
      const int stage = settle_rest(at, result);
      counts_[stage] += counted >> l & 1;
      fpdet::store(result, results[l]);
    }
  }

  /// Stage 3 or 4, which is returned as 2 or 3.
  __attribute__((noinline)) int settle_rest(Unsettled& at, double& result) {
    const EnvironmentGuard guard(Rounding::NearestEven);
    if (settle_by_errors<S>(task_, at, random_of(at), result)) return 2;
    result = settle_by_definition<S>(task_, at);
    return 3;
  }

 private:
  template <int Lanes, class Column>
  PanelLanes test_lanes(const PanelTest& test, int n, Unsettled& at, Column&& column, S* results) {
    if constexpr (__is_same(S, float)) {
      if (is_hardware(task_.arithmetic.rounding)) return settle_on_hardware<Lanes>(test, results);
    }
    const auto random = [&](int l) {
      if (task_.arithmetic.rounding != Rounding::Stochastic) return uint32_t{0};
      at.col = column(l);
      return random_of(at);
    };
    return settle_in_software<S>(test, n, task_.arithmetic, random, results);
  }

  /// The random bits of an output's one rounding; 0 where there are none.
  uint32_t random_of(Unsettled& at) {
    if (task_.arithmetic.rounding != Rounding::Stochastic) return 0;
    const Output& out = task_.problem.out;
    at.random = RandomBits(
        task_.arithmetic.stochastic,
        element_key(task_.seed, task_.counter, task_.pass,
                    static_cast<uint32_t>(task_.batch_offset + out.sample(at.group, at.col)),
                    static_cast<uint64_t>(out.element(at.group, at.row, at.col))));
    return at.random.at(2 * task_.terms + 1);
  }

  const Task& task_;
  int64_t counts_[kExactStages] = {};
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
