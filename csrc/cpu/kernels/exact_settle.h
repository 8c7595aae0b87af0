// SPDX-License-Identifier: MIT
// Stages 1 and 2 of the exact method (core/exact_stages.h) on the sums of one row and panel.
#pragma once

#include "exact_columns.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Of one row: what its outputs share.
struct RowBounds {
  double norm, quantum;
  bool zero_known;  ///< what its products with a column of +0 add up to, zero_sum, is known
  double zero_sum;
  double bias, bias_magnitude, bias_quantum;
};

struct PanelTest {
  const double* sums;
  const double* norm;  ///< of the columns
  const double* quantum;
  const int64_t* patterns;
  RowBounds row;
  bool has_bias;
  double relative;  ///< core's relative_error(depth)
};

/// Lanes of a panel, a bit each.
struct PanelLanes {
  uint32_t exact = 0;    ///< the float64 sum is the sum
  uint32_t settled = 0;  ///< the result is in its place
};

FPDET_INLINE uint32_t lanes_of(I<double> mask) {
  uint32_t bits = 0;
#if defined(__AVX512F__)
  bits = _mm512_movepi64_mask(reinterpret_cast<__m512i>(mask));
#elif defined(__AVX2__)
  bits = static_cast<uint32_t>(_mm256_movemask_pd(reinterpret_cast<__m256d>(mask)));
#else
  for (int l = 0; l < kLanes<double>; ++l) bits |= mask[l] != 0 ? uint32_t{1} << l : 0;
#endif
  return bits;
}

/// What both stages need of one vector of sums.
struct Interval {
  V<double> sum, magnitude, width;
  I<double> exact, zero;

  FPDET_INLINE Interval(const PanelTest& t, int at) {
    const RowBounds& row = t.row;
    sum = load<double>(t.sums + at);
    if (t.has_bias) sum = sum + broadcast<double>(row.bias);
    magnitude =
        reinterpret_cast<V<double>>(reinterpret_cast<I<double>>(sum) & ~(I<double>{} + INT64_MIN));
    const V<double> terms =
        magnitude_bound(broadcast<double>(row.norm), load<double>(t.norm + at), row.bias_magnitude);
    V<double> quantum = broadcast<double>(row.quantum) * load<double>(t.quantum + at);
    const V<double> of_bias = broadcast<double>(row.bias_quantum);
    quantum = of_bias < quantum ? of_bias : quantum;  // an unknown one, NaN, stays
    exact = terms <= quantum * kExactSteps;
    width = half_width(magnitude, terms, t.relative);
    width = reinterpret_cast<V<double>>(reinterpret_cast<I<double>>(width) & ~exact);
    // All products are zeros: no need to look at their signs one by one.
    I<double> patterns;
    std::memcpy(&patterns, t.patterns + at, sizeof patterns);
    zero = (patterns == 0) & (sum == 0.0) & -static_cast<int64_t>(row.zero_known);
  }
};

/// To float32 under the ambient rounding, which is the task's. Unsettled lanes hold anything.
template <int Count>
__attribute__((noinline)) PanelLanes settle_on_hardware(const PanelTest& t, float* results) {
  constexpr int kW = kLanes<double>;
  PanelLanes lanes;
  for (int at = 0; at < Count; at += kW) {
    const Interval i(t, at);
    Narrow low = __builtin_convertvector(i.sum - i.width, Narrow);
    const Narrow high = __builtin_convertvector(i.sum + i.width, Narrow);
    const I<double> same = to_doubles(low) == to_doubles(high);
    const I<double> inside = (i.magnitude > i.width) & (i.magnitude < __builtin_inf()) & same;
    const uint32_t zero = lanes_of(i.zero);
    if (zero != 0) {
      for (int l = 0; l < kW; ++l) {
        if ((zero >> l & 1) != 0) low[l] = static_cast<float>(t.row.zero_sum);
      }
    }
    std::memcpy(results + at, &low, sizeof low);
    lanes.exact |= (lanes_of(i.exact) | zero) << at;
    lanes.settled |= (lanes_of(inside) | zero) << at;
  }
  return lanes;
}

/// Stage 2 of a row's outputs where stage 1 is known to fail.
struct InexactTest {
  double scale;  ///< half width per norm of a column
  double width;  ///< the bias's part of it
  bool has_bias;
  double bias;
  double ratio;  ///< norm / quantum of the row

  InexactTest() = default;
  /// Factors of half_width and magnitude_bound are taken in another order here: the roundings of
  /// that, like those they name, vanish in relative_error's factor.
  InexactTest(const RowBounds& row, bool biased, double relative)
      : scale(row.norm * relative),
        width(row.bias_magnitude * relative),
        has_bias(biased),
        bias(row.bias),
        ratio(row.norm / row.quantum) {}

  /// Whether no output with columns of this ratio or above can be exact or all zeros. Stage 1 holds
  /// where ||a|| ||b|| + |bias| <= 2^53 min(q_a q_b, q_bias): not if the product of the ratios
  /// exceeds 2^53, with room for the roundings of both. Columns of zeros have ratio 0, unknown
  /// quanta infinity, and NaN compares false.
  bool covers(double columns) const { return ratio * columns > kExactSteps * (1.0 + 0x1p-20); }
};

/// To float32 under the ambient rounding, which is the task's; whether all lanes are settled.
/// test(at, sum, rounded) sets the results of a vector of sums, bias included, and says which hold.
template <int Count, class Test>
FPDET_INLINE bool settle_all(bool has_bias, double bias, const double* sums, float* results,
                             Test&& test) {
  constexpr int kW = kLanes<double>;
  I<double> settled = ~I<double>{};
#pragma GCC unroll 4
  for (int at = 0; at < Count; at += kW) {
    V<double> sum = load<double>(sums + at);
    if (has_bias) sum = sum + broadcast<double>(bias);
    Narrow rounded{};
    settled &= test(at, sum, rounded);
    std::memcpy(results + at, &rounded, sizeof rounded);
  }
  return lanes_of(settled) == (uint32_t{1} << kW) - 1;
}

/// Stage 2 of a row's outputs.
template <int Count>
FPDET_INLINE bool settle_inexact(const InexactTest& t, const double* sums, const double* norm,
                                 float* results) {
  const auto test = [&](int at, V<double> sum, Narrow& low) {
    const V<double> magnitude =
        reinterpret_cast<V<double>>(reinterpret_cast<I<double>>(sum) & ~(I<double>{} + INT64_MIN));
    const V<double> of_terms = fma<double>(broadcast<double>(t.scale), load<double>(norm + at),
                                           broadcast<double>(t.width));
    const V<double> width = fma<double>(magnitude, broadcast<double>(0x1p-50), of_terms);
    low = __builtin_convertvector(sum - width, Narrow);
    const Narrow high = __builtin_convertvector(sum + width, Narrow);
    // An infinite sum has an infinite width, and NaN compares false.
    return (magnitude > width) & (to_doubles(low) == to_doubles(high));
  };
  return settle_all<Count>(t.has_bias, t.bias, sums, results, test);
}

/// Stage 1 of a row's outputs.
template <int Count>
FPDET_INLINE bool settle_exact(const RowBounds& row, bool has_bias, const double* sums,
                               const double* norm, const double* quantum, float* results) {
  const auto test = [&](int at, V<double> sum, Narrow& rounded) {
    const V<double> terms =
        magnitude_bound(broadcast<double>(row.norm), load<double>(norm + at), row.bias_magnitude);
    const V<double> products = broadcast<double>(row.quantum) * load<double>(quantum + at);
    rounded = __builtin_convertvector(sum, Narrow);
    // Signs of zeros are another's business. An unknown quantum is 0 or NaN, below any bound, and
    // what is not finite has an infinite bound.
    return (terms <= products * kExactSteps) &
           (terms <= broadcast<double>(row.bias_quantum) * kExactSteps) &
           (terms < __builtin_inf()) & (sum != 0.0);
  };
  return settle_all<Count>(has_bias, row.bias, sums, results, test);
}

/// To any element under any rounding; random(lane) gives the random bits of a stochastic one.
template <class S, class Random>
PanelLanes settle_in_software(const PanelTest& t, int count, const Arithmetic& arithmetic,
                              Random&& random, S* results) {
  constexpr int kW = kLanes<double>;
  PanelLanes lanes;
  for (int at = 0; at < count; at += kW) {
    const Interval i(t, at);
    const uint32_t zero = lanes_of(i.zero);
    lanes.exact |= (lanes_of(i.exact) | zero) << at;
    for (int l = 0; l < kW && at + l < count; ++l) {
      double result = t.row.zero_sum;
      if ((zero >> l & 1) != 0 ||
          fpdet::settle(i.sum[l], i.width[l], kFormatOf<S>, arithmetic.rounding,
                        arithmetic.stochastic, random(at + l), result)) {
        lanes.settled |= uint32_t{1} << (at + l);
        fpdet::store(result, results[at + l]);
      }
    }
  }
  return lanes;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
