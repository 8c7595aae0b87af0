// SPDX-License-Identifier: MIT
// The elementary functions for every combination of rounding, format and element type, one element
// at a time: the loop around core's definition (core/unary.h).
#include "../calls/random_of.h"
#include "../core/environment.h"
#include "unary.h"

namespace fpdet::cpu {
namespace {

template <Function F, class T>
[[gnu::noinline]] void run(const UnaryCall& call, int64_t begin, int64_t end) {
  const Arith arith(call.arithmetic, false);
  const ElementwiseSource source =
      source_of(call.arithmetic.stochastic, call.arithmetic.rounding, call.draw, call.per_sample);
  for (int64_t i = begin; i < end; ++i) {
    ElementwiseBits random = source.of(i);
    const double x = widen(static_cast<const T*>(call.x)[i]);
    store(unary_element<F>(arith, x, kFormatOf<T>, random), static_cast<T*>(call.out)[i]);
  }
}

}  // namespace

void slow_unary(const UnaryCall& call, const ParallelFor& parallel_for) {
  for_each_piece(parallel_for, call.count, kUnaryGrain, [&](int64_t begin, int64_t end) {
    const EnvironmentGuard guard(Rounding::NearestEven);
    with_function(call.function, [&]<Function F>() {
      with_scalar(call.scalar, [&]<class T>(T) { run<F, T>(call, begin, end); });
    });
  });
}

}  // namespace fpdet::cpu
