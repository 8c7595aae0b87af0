// SPDX-License-Identifier: MIT
// The SGD step: core's definition over vectors, one pass over memory.
#pragma once

#include "../../core/environment.h"
#include "elementwise_task.h"
#include "hardware_ops.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class Ops, class S>
[[gnu::noinline]] void sgd_run(const SgdTask& task, const SgdPointers& at, int64_t begin,
                               int64_t end) {
  constexpr int N = Ops::kLanes;
  Ops ops(task.arithmetic, task.conversion);
  const auto k = task.coefficients.convert([](double c) { return Ops::coefficient(c); });
  S* p = static_cast<S*>(at.parameter);
  const S* g = static_cast<const S*>(at.gradient);
  S* b = static_cast<S*>(at.buffer);
  const auto step = [&](int64_t first, S* parameter, const S* gradient, S* buffer) {
    using Value = typename Ops::Value;
    ops.enter(first);
    const SgdResult<Value> result =
        sgd_element(k, ops, ops.load(parameter), ops.load(gradient),
                    buffer != nullptr && !k.first_step ? ops.load(buffer) : Value{});
    ops.template store<false>(parameter, result.parameter, kSgdParameterEvent);
    if (buffer != nullptr) ops.template store<false>(buffer, result.buffer, kSgdBufferEvent);
  };
  int64_t i = begin;
  if (b != nullptr) {
    for (; i + N <= end; i += N) step(i, p + i, g + i, b + i);
  } else {
    for (; i + N <= end; i += N) step(i, p + i, g + i, nullptr);
  }
  if (i == end) return;
  const int64_t count = end - i;
  Edge<S, N> parameter(p + i, count), gradient(g + i, count);
  Edge<S, N> buffer(b != nullptr ? b + i : p + i, count);
  step(i, parameter.data(), gradient.data(), b != nullptr ? buffer.data() : nullptr);
  parameter.store(p + i, count);
  if (b != nullptr) buffer.store(b + i, count);
}

inline void run_sgd(const SgdTask& task, const SgdPointers& at, int64_t begin, int64_t end) {
  const EnvironmentGuard guard(task.arithmetic.rounding);
  with_scalar(task.scalar, [&]<class S>(S) {
    with_hardware_ops<S>(task, [&]<class Ops>() { sgd_run<Ops, S>(task, at, begin, end); });
  });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
