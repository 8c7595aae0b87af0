// SPDX-License-Identifier: MIT
// Adam's step for every combination of rounding, format and element type, one element at a time:
// the loop around core's definition (core/adam.h).
#include "../calls/random_of.h"
#include "../core/element.h"
#include "../core/environment.h"
#include "adam.h"

namespace fpdet::cpu {
namespace {

constexpr int64_t kGrain = 1024;

template <class T>
[[gnu::noinline]] void adam_run(const AdamCall& call, const AdamTensor& tensor,
                                const AdamCoefficients& coefficients, int64_t begin, int64_t end) {
  const bool operands_fit = call.scalar != Scalar::Float64 || call.arithmetic.format == kFloat64;
  const Arith arith(call.arithmetic, operands_fit);
  auto* parameter = static_cast<T*>(tensor.parameter);
  const auto* gradient = static_cast<const T*>(tensor.gradient);
  auto* average = static_cast<T*>(tensor.average);
  auto* square = static_cast<T*>(tensor.square);
  auto* most = static_cast<T*>(tensor.most);
  const ElementwiseSource source(call.arithmetic.stochastic, call.arithmetic.rounding, call.draw,
                                 tensor.number, 0);
  for (int64_t i = begin; i < end; ++i) {
    ElementwiseBits random = source.of(i);
    const AdamValues<double> before{widen(parameter[i]), widen(average[i]), widen(square[i]),
                                    most != nullptr ? widen(most[i]) : 0.0};
    const AdamValues<double> after =
        adam_element(coefficients, arith, before, widen(gradient[i]), random);
    const auto stored = [&](double x, int64_t event, T& to) {
      store(arith.round_to(x, kFormatOf<T>, random, event), to);
    };
    stored(after.average, kAdamAverageEvent, average[i]);
    stored(after.square, kAdamSquareEvent, square[i]);
    stored(after.parameter, kAdamParameterEvent, parameter[i]);
    if (most != nullptr) stored(after.most, kAdamMostEvent, most[i]);
  }
}

}  // namespace

void slow_adam(const AdamCall& call, const ParallelFor& parallel_for) {
  const AdamCoefficients coefficients = adam_coefficients(call.scalars, call.arithmetic.format);
  for (const AdamTensor& tensor : call.tensors) {
    for_each_piece(parallel_for, tensor.count, kGrain, [&](int64_t begin, int64_t end) {
      const EnvironmentGuard guard(call.arithmetic.rounding);
      with_scalar(call.scalar,
                  [&]<class T>(T) { adam_run<T>(call, tensor, coefficients, begin, end); });
    });
  }
}

}  // namespace fpdet::cpu
