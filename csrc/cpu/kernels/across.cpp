// SPDX-License-Identifier: MIT
// Sums whose outputs are neighbours in the operands: lanes are outputs, a term of a vector of them
// is one load. Every tree.
#include "method.h"
#include "sums.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

constexpr int kAcross = 8;  // vectors of outputs at once: their chains hide each other's latency

/// Outputs in a row that lie side by side.
int64_t neighbours(const Task& task) {
  const Contraction& problem = task.problem;
  if (problem.groups > 1) {
    const int64_t left = problem.product ? problem.left.group_offset : 0;
    return problem.right.group_offset == 1 && (left == 0 || left == 1) ? problem.groups : 1;
  }
  const int digit = last_digit(problem.cols);
  return problem.right.outer.offset.w[digit] == 1 ? problem.cols.d[digit] : 1;
}

bool covers(const Task& task) { return is_sum(task); }

template <class T>
void plan_across(Task& task) {
  const int64_t row = neighbours(task), rows = SumGeometry(task).outputs() / row;
  int64_t tile = kAcross * kLanes<T>;
  if (task.tiles.columns > 0) tile = at_most(task.tiles.columns, tile);
  while (tile > 2 * kLanes<T> && rows * ceil_div(row, tile) < 2 * task.workers) tile /= 2;
  task.tile_panels = tile;  // outputs
  task.col_tiles = ceil_div(row, tile);
  task.items = rows * task.col_tiles;
  const int64_t lanes = ceil_div(tile, kLanes<T>) * kLanes<T>;  // of a part of a vector too, all
  task.scratch_bytes = aligned(task.depth * lanes * static_cast<int64_t>(sizeof(T)));
}

template <class T, class S>
class AcrossRunner {
 public:
  AcrossRunner(const Task& task, void* scratch)
      : task_(task),
        geometry_(task),
        schedule_(schedule_of(task)),
        stack_(static_cast<T*>(scratch)),
        row_(neighbours(task)),
        inner_(last_digit(task.problem.terms)),
        left_step_(geometry_.grouped ? task.problem.left.group_offset : 0) {}

  void run(int64_t item) {
    const int64_t first = item % task_.col_tiles * task_.tile_panels;
    const SumPlace row = geometry_.place(item / task_.col_tiles * row_);
    const SumPlace place{row.left + first * left_step_, row.right + first, row.out};
    const int64_t out_step = geometry_.grouped
                                 ? task_.problem.out.group_offset
                                 : task_.problem.out.col.w[last_digit(task_.problem.cols)];
    with_term(task_, [&]<SumTerm M>() {
      run_tile<M>(place, at_most(task_.tile_panels, row_ - first), row.out + first * out_step,
                  out_step);
    });
  }

 private:
  template <SumTerm M>
  void run_tile(SumPlace place, int64_t count, int64_t out, int64_t out_step) {
    int64_t offsets[kAcross * kLanes<T>];
    for (int64_t i = 0; i < count; ++i) offsets[i] = out + i * out_step;
    int64_t at = 0;
    const auto take = [&]<int Vectors>() {
      for (; at + Vectors * kLanes<T> <= count; at += Vectors * kLanes<T>) {
        sum<M, Vectors, false>(place, at, Vectors * kLanes<T>, offsets + at);
      }
    };
    take.template operator()<kAcross>();
    take.template operator()<kAcross / 2>();
    take.template operator()<kAcross / 4>();
    take.template operator()<1>();
    if (at < count) sum<M, 1, true>(place, at, count - at, offsets + at);
  }

  /// `count` outputs from number `at` of the tile on: whole vectors, or a part of one.
  template <SumTerm M, int Vectors, bool Partly>
  [[gnu::noinline]] void sum(const SumPlace& place, int64_t at, int64_t count,
                             const int64_t* offsets) {
    constexpr int kW = kLanes<T>;
    const S* left = static_cast<const S*>(task_.left) + place.left + at * left_step_;
    const S* right = static_cast<const S*>(task_.right) + place.right + at;
    const auto mask = static_cast<uint32_t>((uint64_t{1} << at_most(count, kW)) - 1);
    const auto read = [&](const S* p) {
      if constexpr (Partly) return gather<T>(p, 1, mask);
      return reinterpret<V<T>>(load_values<T, kW>(p));
    };
    // `n` terms, their operands so far apart.
    V<T> acc[Vectors];
    const auto add_terms = [&](const S* l, const S* r, int64_t n, int64_t l_hop, int64_t r_hop) {
      for (int64_t i = 0; i < n; ++i, l += l_hop, r += r_hop) {
        V<T> factor{};
        if (M != SumTerm::Plain && left_step_ == 0) factor = broadcast(to_accumulator<T>(*l));
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) {
          if (M != SumTerm::Plain && left_step_ != 0) factor = read(l + v * kW);
          acc[v] = add_term<M, T>(acc[v], factor, read(r + v * kW));
        }
      }
    };
    const Digits& radix = task_.problem.terms;
    const Weights& l_weights = task_.problem.left.term.offset;
    const Weights& r_weights = task_.problem.right.term.offset;
    const auto add_run = [&](const Run& run) {
      const bool ascends = run.stride == 1 && !task_.order.permuted();
      for (int64_t i = 0; i < run.count;) {
        const Digits d = radix.decode(schedule_.term(run.first + i * run.stride));
        const int64_t n = ascends ? at_most(radix.d[inner_] - d.d[inner_], run.count - i) : 1;
        add_terms(left + l_weights.dot(d), right + r_weights.dot(d), n, l_weights.w[inner_],
                  r_weights.w[inner_]);
        i += n;
      }
    };

    const int64_t runs = schedule_.runs();
    int64_t depth = 0;
    const auto level = [&](int64_t i) { return stack_ + i * Vectors * kW; };
    if (runs == 0) {
      for (int v = 0; v < Vectors; ++v) store<T>(stack_ + v * kW, V<T>{});
    }
    for (int64_t j = 0; j < runs; ++j) {
      for (int v = 0; v < Vectors; ++v) acc[v] = V<T>{};
      add_run(schedule_.run(j));
      for (int fold = schedule_.folds(j); fold > 0; --fold) {
        --depth;
        for (int v = 0; v < Vectors; ++v) acc[v] = load<T>(level(depth) + v * kW) + acc[v];
      }
      for (int v = 0; v < Vectors; ++v) store<T>(level(depth) + v * kW, acc[v]);
      ++depth;
    }
    convert<T, S>(task_, stack_, count, static_cast<S*>(task_.out), offsets);
  }

  const Task& task_;
  SumGeometry geometry_;
  Schedule schedule_;
  T* stack_;  ///< [level][output]
  int64_t row_;
  int inner_;          ///< digit of the terms
  int64_t left_step_;  ///< 0: outputs share the left operand
};

}  // namespace

const Method kAcrossSums{
    "across",
    covers,
    [](const Task& task) {
      const int64_t lanes = double_accumulator(task) ? kLanes<double> : kLanes<float>;
      return task.rows == 1 && 2 * neighbours(task) > lanes;
    },
    [](Task& task) { plan_for_accumulator(task, []<class T>(Task& t) { plan_across<T>(t); }); },
    nullptr,
    run_items<AcrossRunner>,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
