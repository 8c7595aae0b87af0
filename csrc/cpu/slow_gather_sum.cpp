// SPDX-License-Identifier: MIT
// Every combination, one output element at a time: the loop around core's definition.
#include <memory>

#include "../core/environment.h"
#include "../core/permutation.h"
#include "../core/reduce.h"
#include "gather_sum.h"

namespace fpdet::cpu {
namespace {

/// The outputs [begin, end), numbered (sum, column).
template <bool Product, class T>
[[gnu::noinline]] void compute(const GatherSumCall& call, int64_t begin, int64_t end) {
  const Order& order = call.order;
  const bool operands_fit = call.scalar != Scalar::Float64 || call.arithmetic.format == kFloat64;
  const Arith arith(call.arithmetic, operands_fit);
  const bool needs_key = call.arithmetic.rounding == Rounding::Stochastic;
  const bool own_permutation = order.permuted() && order.vary == Vary::Element;
  const auto exact = std::make_unique<ExactSum>();

  std::unique_ptr<Permutation> permutation;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t sum = i / call.columns, column = i % call.columns;
    const int64_t first = call.offsets[sum], terms = call.offsets[sum + 1] - first;
    const auto sample = static_cast<uint32_t>(call.draw.batch_offset + sum);
    const auto key_from = [&](uint64_t seed) {
      return element_key(seed, call.draw.counter, call.draw.pass, sample,
                         static_cast<uint64_t>(column));
    };
    if (own_permutation || i == begin || column == 0) {
      permutation = std::make_unique<Permutation>(
          order, terms, call.draw.counter, own_permutation ? key_from(order.seed) : ElementKey{});
    }
    RandomBits random(call.arithmetic.stochastic,
                      needs_key ? key_from(call.draw.seed) : ElementKey{});
    GatherCursor cursor(Elements<T>{static_cast<const T*>(call.x)}, column, call.x_line,
                        call.indices, Elements<T>{static_cast<const T*>(call.weights)},
                        call.weight_step, first);
    const double result = reduce<Product>(order, Schedule(order, terms, permutation->data()), arith,
                                          cursor, random, nullptr, kFormatOf<T>, *exact);
    store(result, static_cast<T*>(call.out)[i]);
  }
}

}  // namespace

void slow_gather_sum(const GatherSumCall& call, const ParallelFor& parallel_for) {
  const int64_t mean = call.terms / std::max<int64_t>(1, call.sums) + 1;
  for_each_piece(parallel_for, call.sums * call.columns, std::max<int64_t>(1, 4096 / mean),
                 [&](int64_t begin, int64_t end) {
                   const EnvironmentGuard guard(call.arithmetic.rounding);
                   with_scalar(call.scalar, [&]<class T>(T) {
                     if (call.weights != nullptr) {
                       compute<true, T>(call, begin, end);
                     } else {
                       compute<false, T>(call, begin, end);
                     }
                   });
                 });
}

}  // namespace fpdet::cpu
