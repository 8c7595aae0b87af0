// SPDX-License-Identifier: MIT
// Every combination of rounding, order, format and fused, one output element at a time: the loop
// around core's definition (core/reduce.h).
#include <memory>

#include "../core/environment.h"
#include "../core/permutation.h"
#include "../core/reduce.h"
#include "contraction.h"
#include "exact_stages.h"

namespace fpdet::cpu {
namespace {

/// The outputs [begin, end) of a call, numbered (group, row, column).
template <bool Product, class T>
[[gnu::noinline]] void compute(const ContractionCall& call, const Permutation& shared,
                               int64_t begin, int64_t end) {
  const Contraction& problem = call.problem;
  const Order& order = call.order;
  const int64_t terms = problem.terms.product();
  const int64_t rows = problem.rows.product();
  const int64_t cols = problem.cols.product();
  const bool operands_fit = call.scalar != Scalar::Float64 || call.arithmetic.format == kFloat64;
  const Arith arith(call.arithmetic, operands_fit);
  const bool needs_key = call.arithmetic.rounding == Rounding::Stochastic;
  const bool own_permutation = order.permuted() && order.vary == Vary::Element;
  const auto sum = std::make_unique<ExactSum>();

  for (int64_t i = begin; i < end; ++i) {
    const int64_t group = i / (rows * cols);
    const int64_t row_number = i / cols % rows;
    const Digits row = problem.rows.decode(row_number);
    const Digits col = problem.cols.decode(i % cols);
    const auto sample =
        static_cast<uint32_t>(call.draw.batch_offset + problem.out.sample(group, col));
    const auto element = static_cast<uint64_t>(problem.out.element(group, row, col));
    const auto key_from = [&](uint64_t seed) {
      return element_key(seed, call.draw.counter, call.draw.pass, sample, element);
    };

    RandomBits random(call.arithmetic.stochastic,
                      needs_key ? key_from(call.draw.seed) : ElementKey{});
    TermCursor<Elements<T>> cursor(problem, Elements<T>{static_cast<const T*>(call.left)},
                                   Elements<T>{static_cast<const T*>(call.right)}, group, row, col);
    double bias = 0.0;
    if (call.bias != nullptr) {
      bias =
          widen(static_cast<const T*>(call.bias)[(group * rows + row_number) * call.bias_stride]);
    }
    const double* bias_or_null = call.bias != nullptr ? &bias : nullptr;

    double result;
    if (own_permutation) {
      const Permutation own(order, terms, call.draw.counter, key_from(order.seed));
      result = reduce<Product>(order, Schedule(order, terms, own.data()), arith, cursor, random,
                               bias_or_null, kFormatOf<T>, *sum);
    } else {
      result = reduce<Product>(order, Schedule(order, terms, shared.data()), arith, cursor, random,
                               bias_or_null, kFormatOf<T>, *sum);
    }
    store(result, static_cast<T*>(call.out)[problem.out.offset(group, row, col)]);
  }
}

}  // namespace

void slow_contraction(const ContractionCall& call, const ParallelFor& parallel_for) {
  if (!call.rest.empty()) {
    for (size_t i = 0; i <= call.rest.size(); ++i) slow_contraction(part_of(call, i), parallel_for);
    return;
  }
  const bool shared_permutation = call.order.permuted() && call.order.vary != Vary::Element;
  const Permutation shared(shared_permutation ? call.order : Order{}, call.problem.terms.product(),
                           call.draw.counter);
  if (call.order.exact()) {
    __atomic_fetch_add(exact_stage_counters() + kExactStages - 1, call.problem.outputs(),
                       __ATOMIC_RELAXED);
  }
  const int64_t work = std::max<int64_t>(1, call.problem.terms.product());
  for_each_piece(parallel_for, call.problem.outputs(), std::max<int64_t>(1, 4096 / work),
                 [&](int64_t begin, int64_t end) {
                   const EnvironmentGuard guard(call.arithmetic.rounding);
                   with_scalar(call.scalar, [&](auto element) {
                     using T = decltype(element);
                     if (call.problem.product) {
                       compute<true, T>(call, shared, begin, end);
                     } else {
                       compute<false, T>(call, shared, begin, end);
                     }
                   });
                 });
}

}  // namespace fpdet::cpu
