// SPDX-License-Identifier: MIT
// Sums of gathered lines: lanes are columns. Takes nothing out of line from the standard library
// (see contraction.cpp).
#include "gather_table.h"
#include "gather_task.h"
#include "method.h"
#include "sums.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

constexpr int kGatherVectors = 4;

/// One sum's terms.
template <class S>
struct GatherTerms {
  const S* x;
  int64_t line;
  const int64_t* indices;
  const S* weights;
  int64_t weight_step;
};

/// `count` columns of one sum: whole vectors, or a part of one.
template <SumTerm M, class T, class S, int Vectors, bool Partly>
[[gnu::noinline]] void sum_columns(const Task& rounding, const Schedule& schedule,
                                   const GatherTerms<S>& terms, int64_t count, S* out) {
  constexpr int kW = kLanes<T>;
  alignas(64) T stack[Schedule::kMaxDepth * Vectors * kW];
  const auto mask = static_cast<uint32_t>((uint64_t{1} << at_most(count, kW)) - 1);
  const auto read = [&](const S* p) {
    if constexpr (Partly) return gather<T>(p, 1, mask);
    return reinterpret<V<T>>(load_values<T, kW>(p));
  };
  const auto level = [&](int64_t i) { return stack + i * Vectors * kW; };
  for (int v = 0; v < Vectors; ++v) store<T>(stack + v * kW, V<T>{});
  int64_t depth = 0;
  const int64_t runs = schedule.runs();
  for (int64_t j = 0; j < runs; ++j) {
    V<T> acc[Vectors] = {};
    const Run run = schedule.run(j);
    for (int64_t i = 0, term = run.first; i < run.count; ++i, term += run.stride) {
      const S* line = terms.x + terms.indices[term] * terms.line;
      V<T> weight{};
      if (M != SumTerm::Plain) {
        weight = broadcast(to_accumulator<T>(terms.weights[term * terms.weight_step]));
      }
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) {
        acc[v] = add_term<M, T>(acc[v], weight, read(line + v * kW));
      }
    }
    for (int fold = schedule.folds(j); fold > 0; --fold) {
      --depth;
      for (int v = 0; v < Vectors; ++v) acc[v] = load<T>(level(depth) + v * kW) + acc[v];
    }
    for (int v = 0; v < Vectors; ++v) store<T>(level(depth) + v * kW, acc[v]);
    ++depth;
  }
  int64_t offsets[Vectors * kW];
  for (int64_t i = 0; i < count; ++i) offsets[i] = i;
  convert<T, S>(rounding, stack, count, out, offsets);
}

template <SumTerm M, class T, class S>
void run_typed(const GatherTask& task, const Task& rounding, int64_t begin, int64_t end) {
  constexpr int kW = kLanes<T>;
  const int64_t tiles = task.tiles();
  for (int64_t item = begin; item < end; ++item) {
    const int64_t sum = item / tiles, column = item % tiles * task.tile;
    const int64_t count = at_most(task.tile, task.columns - column);
    const int64_t first = task.offsets[sum];
    const Schedule schedule(task.order, task.offsets[sum + 1] - first);
    GatherTerms<S> terms{static_cast<const S*>(task.x) + column, task.x_line, task.indices + first,
                         nullptr, task.weight_step};
    if (M != SumTerm::Plain) {
      terms.weights = static_cast<const S*>(task.weights) + first * task.weight_step;
    }
    S* out = static_cast<S*>(task.out) + sum * task.columns + column;
    int64_t at = 0;
    const auto take = [&]<int Vectors>() {
      for (; at + Vectors * kW <= count; at += Vectors * kW) {
        sum_columns<M, T, S, Vectors, false>(rounding, schedule, terms, Vectors * kW, out + at);
        terms.x += Vectors * kW;
      }
    };
    take.template operator()<kGatherVectors>();
    take.template operator()<1>();
    if (at < count) {
      sum_columns<M, T, S, 1, true>(rounding, schedule, terms, count - at, out + at);
    }
  }
}

void run(const void* opaque, int64_t begin, int64_t end) {
  const GatherTask& task = *static_cast<const GatherTask*>(opaque);
  Task rounding;
  rounding.arithmetic = task.arithmetic;
  rounding.scalar = task.scalar;
  rounding.problem.product = task.weights != nullptr;
  const EnvironmentGuard guard(task.arithmetic.rounding);
  with_types(rounding, [&]<class T, class S>(T, S) {
    with_term(rounding, [&]<SumTerm M>() { run_typed<M, T, S>(task, rounding, begin, end); });
  });
}

}  // namespace

const cpu::GatherKernels& gather_kernels() {
  static constexpr cpu::GatherKernels kKernels{run};
  return kKernels;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
