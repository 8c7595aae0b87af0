// SPDX-License-Identifier: MIT
// Order exact for contractions of few rows: the direct method's planes and float64 sums, with one
// bound for all outputs of a box. It is loose, but what a sum of few terms may be off by is so far
// below a float32's last digit that it settles all but a few; those get bounds of their own.
#pragma once

#include "direct_runner.h"
#include "exact_plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Stages 1 and 2 with what the outputs of a box and row share.
struct BoxTest {
  bool exact;     ///< all sums are the sums
  double margin;  ///< stage 2's half width, but for the part that grows with the sum
  bool has_bias;
  double bias;
};

/// Results of `count` vectors of sums at their spots, `step` elements from lane to lane, under the
/// ambient rounding, which is the task's. Returns the vectors in which a lane is not settled.
inline __attribute__((noinline)) uint32_t settle_spots(const BoxTest& t, const double* sums,
                                                       const Spot* spots, int count, float* out,
                                                       int64_t step) {
  constexpr int kW = kLanes<double>;
  const V<double> bias = broadcast<double>(t.bias), margin = broadcast<double>(t.margin);
  const I<double> keep = I<double>{} - (t.exact ? 0 : 1);
  uint32_t unsettled = 0;
  for (int i = 0; i < count; ++i) {
    V<double> sum = load<double>(sums + i * kW);
    if (t.has_bias) sum = sum + bias;
    const V<double> magnitude =
        reinterpret_cast<V<double>>(reinterpret_cast<I<double>>(sum) & ~(I<double>{} + INT64_MIN));
    V<double> width = margin + magnitude * 0x1p-50;
    width = reinterpret_cast<V<double>>(reinterpret_cast<I<double>>(width) & keep);
    const Narrow low = __builtin_convertvector(sum - width, Narrow);
    const Narrow high = __builtin_convertvector(sum + width, Narrow);
    const I<double> same = to_doubles(low) == to_doubles(high);
    const uint32_t settled = lanes_of((magnitude > width) & (magnitude < __builtin_inf()) & same);
    const Spot& spot = spots[i];
    const uint32_t lanes = (uint32_t{1} << spot.lanes) - 1;
    if ((lanes & ~settled) != 0) unsettled |= uint32_t{1} << i;
    float* to = out + spot.out;
    if (step == 1 && spot.lanes == kW) {
      std::memcpy(to, &low, sizeof low);
    } else {
      for (int l = 0; l < spot.lanes; ++l) to[l * step] = low[l];
    }
  }
  return unsettled;
}

template <class S>
class ExactDirectRunner : DirectRunner<double, S> {
  using T = double;
  using Base = DirectRunner<T, S>;
  using Base::spots_;
  using Base::task_, Base::layout_, Base::planes_, Base::parts_, Base::bias_, Base::stack_;
  using typename Base::Part;

 public:
  /// `rows`: bounds of a group's rows, beside the direct method's scratch.
  ExactDirectRunner(const Task& task, void* scratch, LeftBounds* rows)
      : Base(task, scratch, 1),
        settler_(task),
        rows_(rows),
        relative_(relative_error(2 * exact_depth(task))) {}  // directed roundings: u is 2^-52

  void run(int64_t item) {
    const auto at = this->locate(item);
    size_ = this->size_of(this->all_, at.first);
    if (size_.x[0] != copied_.x[0] || size_.x[1] != copied_.x[1] || size_.x[2] != copied_.x[2]) {
      // What larger boxes left behind must not enter the bounds.
      for (int64_t i = 0; i < layout_.size(); ++i) planes_[i] = 0.0;
      copied_ = size_;
    }
    const bool same_rows = at.group == this->group_;
    this->load(at);
    if (!same_rows) bound_rows();
    bound_box();
    if (!this->listed(size_)) this->list_spots(size_);
    col_ = Digits{{at.sample, at.first.x[0], at.first.x[1], at.first.x[2]}};
    at_.group = at.group;
    for (int64_t tile = 0; tile < task_.row_tiles; ++tile) multiply(row_tile(task_, tile));
  }

 private:
  void bound_rows() {
    const Part& part = parts_[0];
    for (int64_t j = 0; j < task_.row_tiles; ++j) {
      const RowTile tile = row_tile(task_, j);
      Observed rows[kMaxRows];
      find_observe_rows(tile.rows)(part.left + tile.first * part.terms, part.terms, rows);
      for (int r = 0; r < tile.rows; ++r) rows_[tile.first + r] = left_bounds_of(rows[r]);
    }
  }

  /// Of all planes; the last vector's worth is zeros.
  void bound_box() {
    constexpr int kVectors = 4, kW = kLanes<T>;
    const int64_t rounds = layout_.size() / (kVectors * kW);
    const T* rest = planes_ + rounds * kVectors * kW;
    const int64_t left = (layout_.size() - rounds * kVectors * kW) / kW;
    Statistics<kVectors> s;
    Statistics<1> last;
    observe<kVectors>(planes_, rounds, s);
    observe<1>(rest, left, last);
    double squares = 0.0, least = __builtin_inf();
    uint64_t any = 0;
    for (int l = 0; l < kW; ++l) {
      squares += last.squares[0][l];
      any |= static_cast<uint64_t>(last.patterns[0][l]);
      for (int v = 0; v < kVectors; ++v) {
        squares += s.squares[v][l];
        any |= static_cast<uint64_t>(s.patterns[v][l]);
      }
    }
    if ((any & ((uint64_t{1} << (53 - kFewDigits)) - 1)) == 0) {
      observe_least<kVectors>(planes_, rounds, s);
      observe_least<1>(rest, left, last);
      V<T> m = last.least[0];
      for (int v = 0; v < kVectors; ++v) m = least_of(m, s.least[v]);
      for (int l = 0; l < kW; ++l) least = m[l] < least ? m[l] : least;
      box_quantum_ = quantum_from(least, any);
    } else {
      box_quantum_ = 0.0;
    }
    box_norm_ = norm_from(squares);
  }

  BoxTest box_test(const RowBounds& row, bool has_bias) const {
    const double terms = magnitude_bound(row.norm, box_norm_, row.bias_magnitude);
    double quantum = row.quantum * box_quantum_;
    if (row.bias_quantum < quantum) quantum = row.bias_quantum;
    return {terms <= quantum * kExactSteps, half_width(0.0, terms, relative_), has_bias, row.bias};
  }

  void multiply(const RowTile& tile) {
    const Part& part = parts_[0];
    const Output& out = task_.problem.out;
    per_line_ = ceil_div(size_.x[2], kLanes<T>);
    const int64_t spots = size_.x[0] * size_.x[1] * per_line_;
    DirectArguments<T> a;
    a.steps = part.steps;
    a.step_count = part.step_count;
    a.offsets = part.offsets;
    a.planes = planes_;
    a.left = part.left + tile.first * part.terms;
    a.bias = nullptr;
    a.stack = stack_;
    a.out = nullptr;
    a.out_row = a.out_end = 0;

    PanelTest tests[kDirectRows];
    BoxTest boxes[kDirectRows];
    const bool has_bias = task_.bias != nullptr;
    const bool at_once = __is_same(S, float) && is_hardware(task_.arithmetic.rounding);
    int64_t stages[2] = {0, 0};
    for (int r = 0; r < tile.rows; ++r) {
      const int64_t row = tile.first + r;
      tests[r].row =
          row_bounds(rows_[row], has_bias ? bias_ + row : nullptr, task_.arithmetic.rounding);
      tests[r].has_bias = has_bias;
      tests[r].relative = relative_;
      boxes[r] = box_test(tests[r].row, has_bias);
      if (at_once) stages[boxes[r].exact ? 0 : 1] += size_.x[0] * size_.x[1] * size_.x[2];
    }
    at_.left_step = tile.rows;
    S* first =
        static_cast<S*>(task_.out) + out.offset(at_.group, Digits{{tile.first, 0, 0, 0}}, col_);

    const int most = direct_vectors(tile.rows);
    for (int64_t v = 0; v < spots; v += most) {
      int vectors = most;
      if (tile.rows <= 2 && spots - v <= most / 2) vectors = most / 2;
      a.spots = spots_ + v;
      if (spots - v < vectors) a.spots = this->last_spots(v, spots, vectors);
      find_direct<T, true>(tile.rows, vectors)(a);
      const int n = static_cast<int>(at_most(spots - v, vectors));
      for (int r = 0; r < tile.rows; ++r) {
        const int64_t row = tile.first + r;
        S* to = first + r * out.row.w[0];
        const T* sums = stack_ + r * vectors * kLanes<T>;
        uint32_t rest = (uint32_t{1} << n) - 1;
        if constexpr (__is_same(S, float)) {
          if (at_once) rest = settle_spots(boxes[r], sums, a.spots, n, to, out.col.w[3]);
        }
        for (; rest != 0; rest &= rest - 1) {
          const int i = __builtin_ctz(rest);
          tests[r].sums = sums + i * kLanes<T>;
          const int counted = settle_closely(tests[r], row, a.left + r, v + i, to);
          if (at_once) stages[boxes[r].exact ? 0 : 1] -= counted;
        }
      }
    }
    for (int i = 0; i < 2; ++i) settler_.count(i, stages[i]);
  }

  /// A vector of outputs with bounds of their own; `test` lacks those. Returns how many outputs it
  /// has that no vector before it had.
  __attribute__((noinline)) int settle_closely(PanelTest& test, int64_t row, const T* left,
                                               int64_t number, S* out) {
    constexpr int kW = kLanes<T>;
    const Part& part = parts_[0];
    const Spot& spot = spots_[number];
    V<T> squares{}, least = V<T>{} + __builtin_inf();
    I<T> patterns{};
    for (int64_t t = 0; t < part.terms; ++t) {
      const V<T> x = kernels::load<T>(planes_ + spot.plane + part.offsets[t]);
      squares = fma<T>(x, x, squares);
      least = least_of(least, x);
      patterns |= reinterpret_cast<I<T>>(x);
    }
    double norm[kW], quantum[kW];
    int64_t any[kW];
    std::memcpy(any, &patterns, sizeof any);
    for (int l = 0; l < kW; ++l) {
      norm[l] = norm_from(squares[l]);
      quantum[l] = quantum_from(least[l], static_cast<uint64_t>(any[l]));
    }
    test.norm = norm;
    test.quantum = quantum;
    test.patterns = any;

    // The last vector of a line lies back over its neighbour.
    const int64_t line = number / per_line_, begin = number % per_line_ * kW;
    const int64_t first = at_least(at_most(begin, size_.x[2] - kW), 0);
    const auto counted = ~uint32_t{0} << (begin - first);
    const auto column = [&](int l) {
      return Digits{{col_.d[0], col_.d[1] + line / size_.x[1], col_.d[2] + line % size_.x[1],
                     col_.d[3] + first + l}};
    };
    at_.row = Digits{{row, 0, 0, 0}};
    at_.left = left;
    at_.bias = test.has_bias ? &test.row.bias : nullptr;
    S results[kW];
    settler_.template settle<kW>(test, spot.lanes, counted, at_, column, results);
    for (int l = 0; l < spot.lanes; ++l)
      out[spot.out + l * task_.problem.out.col.w[3]] = results[l];
    return spot.lanes - static_cast<int>(begin - first);
  }

  ExactSettler<S> settler_;
  LeftBounds* rows_;
  double relative_;
  double box_norm_ = 0.0, box_quantum_ = 0.0;
  int64_t per_line_ = 1;
  Box size_, copied_{{0, 0, 0}};
  Digits col_;
  Unsettled at_{};
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
