// SPDX-License-Identifier: MIT
// Every combination of rounding, format and element type, one element at a time: the loop around
// core's definitions (core/arith.h, core/binary.h, core/sgd.h).
#include "../calls/random_of.h"
#include "../core/element.h"
#include "../core/environment.h"
#include "binary_rows.h"
#include "elementwise.h"

namespace fpdet::cpu {
namespace {

constexpr int64_t kGrain = 4096;

bool operands_fit(Scalar scalar, const Format& format) {
  return scalar != Scalar::Float64 || format == kFloat64;
}

template <class T>
[[gnu::noinline]] void round_run(const RoundCall& call, int64_t begin, int64_t end) {
  const Arith arith({call.rounding, call.format, true, call.stochastic}, false);
  const ElementwiseSource source =
      source_of(call.stochastic, call.rounding, call.draw, call.per_sample);
  for (int64_t i = begin; i < end; ++i) {
    ElementwiseBits random = source.of(i);
    const double x = widen(static_cast<const T*>(call.x)[i]);
    const double member = arith.round_to(x, call.format, random, 0);
    store(arith.round_to(member, kFormatOf<T>, random, 1), static_cast<T*>(call.out)[i]);
  }
}

template <class T>
[[gnu::noinline]] void binary_run(const BinaryCall& call, const BinaryRow& row) {
  const Arith arith(call.arithmetic, operands_fit(call.scalar, call.arithmetic.format));
  const auto value = [](const BinarySource& operand, int64_t i) {
    if (operand.data == nullptr) return operand.number;
    return widen(static_cast<const T*>(operand.data)[i * operand.column]);
  };
  const ElementwiseSource source =
      source_of(call.arithmetic.stochastic, call.arithmetic.rounding, call.draw, call.per_sample);
  for (int64_t i = row.begin; i < row.end; ++i) {
    ElementwiseBits random = source.of(row.first + i);
    const double result =
        binary_element(arith, call.operation, value(row.a, i), value(row.b, i), random);
    store(arith.round_to(result, kFormatOf<T>, random, 1), static_cast<T*>(row.out)[i]);
  }
}

template <class T>
[[gnu::noinline]] void sgd_run(const SgdCall& call, const SgdTensor& tensor,
                               const SgdCoefficients& coefficients, int64_t begin, int64_t end) {
  const Arith arith(call.arithmetic, operands_fit(call.scalar, call.arithmetic.format));
  auto* parameter = static_cast<T*>(tensor.parameter);
  const auto* gradient = static_cast<const T*>(tensor.gradient);
  auto* buffer = static_cast<T*>(tensor.buffer);
  const ElementwiseSource source(call.arithmetic.stochastic, call.arithmetic.rounding, call.draw,
                                 tensor.number, 0);
  for (int64_t i = begin; i < end; ++i) {
    ElementwiseBits random = source.of(i);
    const SgdResult<double> step =
        sgd_element(coefficients, arith, widen(parameter[i]), widen(gradient[i]),
                    buffer != nullptr ? widen(buffer[i]) : 0.0, random);
    store(arith.round_to(step.parameter, kFormatOf<T>, random, kSgdParameterEvent), parameter[i]);
    if (buffer != nullptr) {
      store(arith.round_to(step.buffer, kFormatOf<T>, random, kSgdBufferEvent), buffer[i]);
    }
  }
}

}  // namespace

void slow_round(const RoundCall& call, const ParallelFor& parallel_for) {
  for_each_piece(parallel_for, call.count, kGrain, [&](int64_t begin, int64_t end) {
    const EnvironmentGuard guard(call.rounding);
    with_scalar(call.scalar, [&]<class T>(T) { round_run<T>(call, begin, end); });
  });
}

void slow_binary(const BinaryCall& call, const ParallelFor& parallel_for) {
  for_each_piece(parallel_for, call.count, kGrain, [&](int64_t begin, int64_t end) {
    const EnvironmentGuard guard(call.arithmetic.rounding);
    with_scalar(call.scalar, [&]<class T>(T) {
      for_rows(call, begin, end, [&](const BinaryRow* rows, int64_t count) {
        for (int64_t i = 0; i < count; ++i) binary_run<T>(call, rows[i]);
      });
    });
  });
}

void slow_sgd(const SgdCall& call, const ParallelFor& parallel_for) {
  const SgdCoefficients coefficients = sgd_coefficients(call.scalars, call.arithmetic.format);
  for (const SgdTensor& tensor : call.tensors) {
    for_each_piece(parallel_for, tensor.count, kGrain, [&](int64_t begin, int64_t end) {
      const EnvironmentGuard guard(call.arithmetic.rounding);
      with_scalar(call.scalar,
                  [&]<class T>(T) { sgd_run<T>(call, tensor, coefficients, begin, end); });
    });
  }
}

}  // namespace fpdet::cpu
