// SPDX-License-Identifier: MIT
// Order exact for many groups of few outputs each (depthwise grad_weight): the group_slabs method's
// sums in float64. A lane is a group, and has one bound of each row's and one of all columns'
// operands.
#include "exact_groups.h"

#include "exact_plan.h"
#include "group_slabs_runner.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

/// Of one operand of a vector of groups, while its slabs pass.
class LaneBounds {
 public:
  void clear() {
    squares_ = V<double>{};
    least_ = V<double>{} + __builtin_inf();
    patterns_ = I<double>{};
  }

  /// `count` vectors.
  __attribute__((noinline)) void observe_vectors(const double* p, int64_t count) {
    constexpr int kAtOnce = 4;
    const double* rest = p + count / kAtOnce * kAtOnce * kLanes<double>;
    Statistics<kAtOnce> s;
    Statistics<1> last;
    observe<kAtOnce>(p, count / kAtOnce, s);
    observe<1>(rest, count % kAtOnce, last);
    squares_ = squares_ + last.squares[0];
    patterns_ |= last.patterns[0];
    for (int v = 0; v < kAtOnce; ++v) {
      squares_ = squares_ + s.squares[v];
      patterns_ |= s.patterns[v];
    }
    int64_t all = 0;
    for (int l = 0; l < kLanes<double>; ++l) all |= patterns_[l];
    if ((all & ((int64_t{1} << (53 - kFewDigits)) - 1)) != 0) {
      least_ = V<double>{};  // digits too many for stage 1
      return;
    }
    observe_least<kAtOnce>(p, count / kAtOnce, s);
    observe_least<1>(rest, count % kAtOnce, last);
    V<double> m = last.least[0];
    for (int v = 0; v < kAtOnce; ++v) m = s.least[v] < m ? s.least[v] : m;
    least_ = m < least_ ? m : least_;
  }

  double norm(int lane) const { return norm_from(squares_[lane]); }
  double quantum(int lane) const {
    return quantum_from(least_[lane], static_cast<uint64_t>(patterns_[lane]));
  }
  int64_t patterns(int lane) const { return patterns_[lane]; }

 private:
  V<double> squares_, least_;
  I<double> patterns_;
};

template <class S>
class ExactGroupRunner : GroupSlabRunner<double, S> {
  using T = double;
  using Base = GroupSlabRunner<T, S>;
  using Base::task_, Base::layout_, Base::left_, Base::right_, Base::lanes_, Base::first_group_;

 public:
  /// `rows`: their bounds, beside the scratch of group_slabs.
  ExactGroupRunner(const Task& task, void* scratch, LaneBounds* rows)
      : Base(task, scratch),
        settler_(task),
        rows_(rows),
        relative_(relative_error(exact_depth(task))) {}

  void run(int64_t item) {
    columns_.clear();
    for (int64_t r = 0; r < task_.rows; ++r) rows_[r].clear();
    this->sum(item, [&](int64_t lines) {
      // A shorter slab lies before lines of the last one, which are seen again.
      columns_.observe_vectors(right_, layout_.right_size / kLanes<T>);
      for (int64_t r = 0; r < task_.rows; ++r) {
        rows_[r].observe_vectors(left_ + r * layout_.left_row, lines * task_.problem.terms.d[3]);
      }
    });
    const EnvironmentGuard guard(task_.arithmetic.rounding);
    this->for_jobs(item, [&](int64_t j) { finish(j); });
  }

 private:
  __attribute__((noinline)) void finish(int64_t j) {
    constexpr int kW = kLanes<T>;
    const auto job = this->job(j);
    const LaneBounds& row = rows_[job.row];
    Unsettled at{};
    at.row = Digits{{job.row, 0, 0, 0}};
    double norm[kW], quantum[kW], biases[kW] = {};
    int64_t patterns[kW];
    for (int l = 0; l < kW; ++l) {
      norm[l] = magnitude_bound(row.norm(l), columns_.norm(l), 0.0);
      quantum[l] = row.quantum(l) * columns_.quantum(l);
      patterns[l] = columns_.patterns(l);
      if (task_.bias != nullptr && l < lanes_) {
        const int64_t number = (first_group_ + l) * task_.rows + job.row;
        biases[l] = widen(static_cast<const S*>(task_.bias)[number * task_.bias_stride]);
      }
    }
    for (int c = 0; c < job.columns; ++c) {
      const Digits col = task_.problem.cols.decode(job.first + c);
      const auto column = [&](int l) {
        at.group = first_group_ + l;
        return col;
      };
      const double* sums = job.stack + c * kW;
      S results[kW];
      if (task_.bias == nullptr && !any_zero(sums)) {
        settle(sums, norm, quantum, patterns, nullptr, lanes_, at, column, results);
      } else {
        for (int l = 0; l < lanes_; ++l) {
          at.bias = task_.bias == nullptr ? nullptr : biases + l;
          if (at.bias == nullptr && patterns[l] == 0 && sums[l] == 0.0) {
            // All products are zeros.
            at.col = column(l);
            TermCursor<Elements<S>> cursor(
                task_.problem, Elements<S>{static_cast<const S*>(task_.left)},
                Elements<S>{static_cast<const S*>(task_.right)}, at.group, at.row, at.col);
            fpdet::store(exact_zero(cursor, task_.terms, nullptr, task_.arithmetic.rounding),
                         results[l]);
            settler_.count(0, 1);
            continue;
          }
          double sum[kW] = {}, one_norm[kW] = {}, one_quantum[kW] = {};
          int64_t pattern[kW] = {};
          sum[0] = sums[l];
          one_norm[0] = norm[l];
          one_quantum[0] = quantum[l];
          pattern[0] = patterns[l];
          S one[kW];
          settle(
              sum, one_norm, one_quantum, pattern, at.bias, 1, at, [&](int) { return column(l); },
              one);
          results[l] = one[0];
        }
      }
      for (int l = 0; l < lanes_; ++l) {
        static_cast<S*>(task_.out)[task_.problem.out.offset(first_group_ + l, at.row, col)] =
            results[l];
      }
    }
  }

  bool any_zero(const double* sums) const {
    bool zero = false;
    for (int l = 0; l < lanes_; ++l) zero |= sums[l] == 0.0;
    return zero;
  }

  template <class Column>
  void settle(const double* sums, const double* norm, const double* quantum,
              const int64_t* patterns, const double* bias, int n, Unsettled& at, Column&& column,
              S* results) {
    PanelTest test;
    test.sums = sums;
    test.norm = norm;  // of products: the row's factor is 1
    test.quantum = quantum;
    test.patterns = patterns;
    test.row = row_bounds({1.0, 1.0, false, false}, bias, task_.arithmetic.rounding);
    test.row.zero_known = false;
    test.has_bias = bias != nullptr;
    test.relative = relative_;
    settler_.template settle<kLanes<T>>(test, n, ~uint32_t{0}, at, column, results);
  }

  ExactSettler<S> settler_;
  LaneBounds* rows_;
  LaneBounds columns_;
  double relative_;
};

Task in_float64(Task task) {
  sum_in_float64(task);
  return task;
}

bool covers(const Task& task) {
  return float64_bounds_exact(task) && holds_in_group_slabs<double>(in_float64(task));
}

int64_t slab_bytes(const Task& task) {
  return GroupSlabSizes<double>(task, GroupSlabLayout<double>(task)).total();
}

void plan(Task& task) {
  sum_in_float64(task);
  plan_group_slabs<double>(task);
  task.scratch_bytes += aligned(task.rows * static_cast<int64_t>(sizeof(LaneBounds)));
}

void run(const Task& task, void* scratch, cpu::Pieces& items) {
  const EnvironmentGuard guard(Rounding::NearestEven);
  auto* rows = reinterpret_cast<LaneBounds*>(static_cast<char*>(scratch) + slab_bytes(task));
  with_narrow_scalar(task.scalar, [&]<class S>(S) {
    ExactGroupRunner<S> runner(task, scratch, rows);
    run_each(runner, items);
  });
}

}  // namespace

const Method kExactGroups{"exact_groups", covers, suits_group_slabs, plan, nullptr, run};

}  // namespace fpdet::inline FPDET_TARGET::kernels
