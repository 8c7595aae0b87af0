// SPDX-License-Identifier: MIT
// Order exact in stages (core/exact_stages.h): float64 sums by tiles, bounds of rows and columns,
// one test for each output; what that does not settle is listed and takes the definition.
#pragma once

#include "outline.h"
// outline.h stands before all of core

#include "../core/exact_stages.h"
#include "slow_contraction.h"
#include "tile_steps.h"

namespace fpdet::cuda {

/// Of the elements that a row or column reads.
struct Observed {
  double squares;
  double least;       ///< magnitude that is not zero; infinity: none
  uint64_t patterns;  ///< or-ed
  bool plus, minus;   ///< some element has this sign

  FPDET_HD static Observed nothing() { return {0.0, infinity(false), 0, false, false}; }
  FPDET_HD void see(double x) {
    const double magnitude = from_bits(magnitude_bits(x));
    squares = ieee_fma<Rounding::NearestEven>(x, x, squares);
    if (!is_zero(x) && magnitude < least) least = magnitude;
    patterns |= to_bits(x);
    (is_negative(x) ? minus : plus) = true;
  }
  FPDET_HD void join(const Observed& other) {
    squares = ieee_add<Rounding::NearestEven>(squares, other.squares);
    if (other.least < least) least = other.least;
    patterns |= other.patterns;
    plus = plus || other.plus;
    minus = minus || other.minus;
  }
};

inline constexpr int64_t kSegment = 256;  ///< terms that one thread looks at

struct ObserveTask {
  Contraction problem;
  Scalar scalar;
  const void* data;
  bool is_left;
  int64_t outer;  ///< rows or columns of all groups
  int64_t segments;
  Observed* seen;  ///< [segment][outer]
};

/// What a segment's elements of a row or column have.
struct ObserveSegments {
  using Task = ObserveTask;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 2;
  FPDET_HD static constexpr Rounding rounding(const Task&) { return Rounding::NearestEven; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    const Contraction& c = task.problem;
    const Operand& operand = task.is_left ? c.left : c.right;
    const Digits& radix = task.is_left ? c.rows : c.cols;
    const int64_t in_group = radix.product(), terms = c.terms.product();
    for_share<ObserveSegments>(block, task.segments * task.outer, [&](int64_t at) {
      const int64_t number = at % task.outer, first = at / task.outer * kSegment;
      Observed seen = Observed::nothing();
      if (task.is_left && !c.product) {
        seen.see(1.0);
        seen.squares = static_cast<double>(terms);  // more than a segment's share: an upper bound
        task.seen[at] = seen;
        return;
      }
      Place outer = operand.origin + operand.outer.place(radix.decode(number % in_group));
      outer.offset += number / in_group * operand.group_offset;
      Digits digits = c.terms.decode(first);
      const int64_t last = first + kSegment < terms ? first + kSegment : terms;
      for (int64_t t = first; t < last; ++t) {
        const Place place = outer + operand.term.place(digits);
        seen.see(operand.contains(place) ? load_element(task.scalar, task.data, place.offset)
                                         : 0.0);
        c.terms.advance(digits);
      }
      task.seen[at] = seen;
    });
  }
};

/// All segments of a row or column, in the place of its first.
struct JoinSegments {
  using Task = ObserveTask;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 2;
  FPDET_HD static constexpr Rounding rounding(const Task&) { return Rounding::NearestEven; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    for_share<JoinSegments>(block, task.outer, [&](int64_t number) {
      Observed seen = task.seen[number];
      for (int64_t s = 1; s < task.segments; ++s) seen.join(task.seen[s * task.outer + number]);
      task.seen[number] = seen;
    });
  }
};

struct SettleTask {
  CombineTask sums;  ///< float64, and where results go
  Arithmetic arithmetic;
  Draw draw;
  int64_t terms;
  double relative;  ///< core's relative_error(depth)
  const Observed* rows;
  const Observed* cols;
  int64_t* list;    ///< numbers of the outputs that are left
  int64_t* listed;  ///< how many
};

struct Settle {
  using Task = SettleTask;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 2;
  FPDET_HD static constexpr Rounding rounding(const Task&) { return Rounding::NearestEven; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    const Draw draw = resolved(task.draw);
    for_share<Settle>(block, task.sums.outputs, [&](int64_t output) {
      const OutputPlace at(task.sums.problem, output);
      double result;
      if (settled(task, draw, output, at, result)) {
        store_element(task.sums.scalar, task.sums.out,
                      task.sums.problem.out.offset(at.group, at.row, at.col), result);
      } else {
        task.list[block.add_to(task.listed, 1)] = output;
      }
    });
  }

 private:
  FPDET_HD static bool settled(const SettleTask& task, const Draw& draw, int64_t output,
                               const OutputPlace& at, double& result) {
    const Contraction& c = task.sums.problem;
    const int64_t row_number = at.group * c.rows.product() + at.row_number;
    const Observed& row = task.rows[row_number];
    const Observed& col = task.cols[at.group * c.cols.product() + output % c.cols.product()];
    double sum = fold_all<Rounding::NearestEven, double>(task.sums, output);
    double bias = 0.0;
    if (task.sums.bias != nullptr) {
      bias = load_element(task.sums.scalar, task.sums.bias, row_number * task.sums.bias_stride);
      sum = ieee_add<Rounding::NearestEven>(sum, bias);
    } else if (col.patterns == 0 && !(row.plus && row.minus) && sum == 0.0) {
      result = zero(row.minus);  // every product is a zero of this sign
      return true;
    } else if (col.patterns == 0 && sum == 0.0) {
      result = cancelled_zero(task.arithmetic.rounding);
      return true;
    }
    const double bias_magnitude = from_bits(magnitude_bits(bias));
    const double magnitude =
        magnitude_bound(norm_from(row.squares), norm_from(col.squares), bias_magnitude);
    double quantum = quantum_from(row.least, row.patterns) * quantum_from(col.least, col.patterns);
    if (task.sums.bias != nullptr && !is_zero(bias)) {
      const double of_bias = quantum_from(bias_magnitude, to_bits(bias));
      quantum = of_bias < quantum ? of_bias : quantum;  // an unknown one, NaN, stays
    }
    const bool exact = magnitude <= quantum * kExactSteps;
    const double sum_magnitude = from_bits(magnitude_bits(sum));
    const double width = exact ? 0.0 : half_width(sum_magnitude, magnitude, task.relative);
    uint32_t random = 0;
    if (task.arithmetic.rounding == Rounding::Stochastic) {
      RandomBits bits(task.arithmetic.stochastic, output_key(c, draw, draw.seed, output));
      random = bits.at(2 * task.terms + 1);
    }
    return settle(sum, width, element_format(task.sums.scalar), task.arithmetic.rounding,
                  task.arithmetic.stochastic, random, result);
  }
};

struct ClearCount {
  using Task = int64_t*;
  using Shared = Nothing;
  static constexpr int kThreads = 32, kResident = 1;
  FPDET_HD static constexpr Rounding rounding(const Task&) { return Rounding::NearestEven; }

  template <class Block>
  FPDET_HD static void run(const Task& count, Block& block) {
    if (block.index() == 0 && block.thread() == 0) *count = 0;
  }
};

/// Element types and arithmetics whose exact sums go in stages.
inline bool exact_covers(const ContractionCall& call) {
  return call.order.exact() && call.scalar != Scalar::Float64 &&
         !(call.arithmetic.rounding == Rounding::Stochastic &&
           call.arithmetic.stochastic.keyed_by_operands);
}

template <class Machine>
const Observed* observe(Machine& machine, const ContractionCall& call, bool is_left) {
  const Contraction& c = call.problem;
  ObserveTask task{c, call.scalar, is_left ? call.left : call.right, is_left, 0, 0, nullptr};
  task.outer = c.groups * (is_left ? c.rows : c.cols).product();
  task.segments = is_left && !c.product ? 1 : (c.terms.product() - 1) / kSegment + 1;
  task.seen = machine.template allocate<Observed>(task.segments * task.outer);
  const int64_t threads = task.segments * task.outer;
  machine.template launch<ObserveSegments>(blocks_for<ObserveSegments>(machine, threads), task);
  if (task.segments > 1) {
    machine.template launch<JoinSegments>(blocks_for<JoinSegments>(machine, task.outer), task);
  }
  return task.seen;
}

template <class Machine>
void exact_contraction(const ContractionCall& call, Machine& machine) {
  // Any tree gives a sum that the bounds hold for: short runs keep them narrow.
  constexpr int64_t kRun = 128;
  ContractionCall sums = call;
  sums.order = Order{OrderKind::Blocked, kRun, 0, Vary::Never};
  sums.arithmetic = Arithmetic{Rounding::NearestEven, kFloat64, true, {}};
  TileTask task = tile_task(sums);
  widen_operands(machine, call, task);
  const int64_t partials = launch_float64_sums(machine, task);
  SettleTask rest{};
  rest.sums = combine_task(sums, task, partials);
  combine<double>(rest.sums, machine);
  rest.arithmetic = call.arithmetic;
  rest.draw = call.draw;
  rest.terms = task.terms;
  rest.relative = relative_error(kRun + Schedule::kMaxDepth + 1);
  rest.rows = observe(machine, call, true);
  rest.cols = observe(machine, call, false);
  rest.list = machine.template allocate<int64_t>(rest.sums.outputs);
  rest.listed = machine.template allocate<int64_t>(1);
  machine.template launch<ClearCount>(1, rest.listed);
  machine.template launch<Settle>(blocks_for<Settle>(machine, rest.sums.outputs), rest);
  SlowTask last = slow_task(call);
  last.list = rest.list;
  last.listed = rest.listed;
  launch_slow(machine, last, rest.sums.outputs);
}

}  // namespace fpdet::cuda
