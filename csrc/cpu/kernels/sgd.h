// SPDX-License-Identifier: MIT
// The SGD step: core's definition over vectors, one pass over memory.
#pragma once

#include "../../core/environment.h"
#include "elementwise_task.h"
#include "hardware_ops.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Processors that have vectors of 64 bytes, used or not, fetch such streams by themselves, and are
/// slowed down by whoever asks for them.
inline bool sees_streams() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") != 0;
#else
  return false;
#endif
}

template <class T, class S>
[[gnu::noinline]] void sgd_run(const SgdTask& task, const SgdPointers& at, int64_t begin,
                               int64_t end) {
  using Ops = HardwareOps<T>;
  constexpr int N = Ops::kLanes;
  const Ops ops(task.arithmetic, task.conversion);
  const auto k = task.coefficients.convert([](double c) { return Ops::coefficient(c); });
  constexpr int64_t kAhead = 4096 / static_cast<int64_t>(sizeof(S));
  S* p = static_cast<S*>(at.parameter);
  const S* g = static_cast<const S*>(at.gradient);
  S* b = static_cast<S*>(at.buffer);
  const auto step = [&](S* parameter, const S* gradient, S* buffer) {
    using Value = typename Ops::Value;
    const SgdResult<Value> result =
        sgd_element(k, ops, ops.load(parameter), ops.load(gradient),
                    buffer != nullptr && !k.first_step ? ops.load(buffer) : Value{});
    ops.template store<false>(parameter, result.parameter);
    if (buffer != nullptr) ops.template store<false>(buffer, result.buffer);
  };
  int64_t i = begin;
  if (b != nullptr) {
    // Three streams in, two of them out again: asked for ahead, more of them are on their way.
    const bool asks = !sees_streams();
    for (; asks && i + kAhead + 2 * N <= end; i += 2 * N) {
      __builtin_prefetch(p + i + kAhead, 1, 3);
      __builtin_prefetch(g + i + kAhead, 0, 3);
      __builtin_prefetch(b + i + kAhead, 1, 3);
      step(p + i, g + i, b + i);
      step(p + i + N, g + i + N, b + i + N);
    }
    for (; i + N <= end; i += N) step(p + i, g + i, b + i);
  } else {
    for (; i + N <= end; i += N) step(p + i, g + i, nullptr);
  }
  if (i == end) return;
  const int64_t count = end - i;
  Edge<S, N> parameter(p + i, count), gradient(g + i, count);
  Edge<S, N> buffer(b != nullptr ? b + i : p + i, count);
  step(parameter.data(), gradient.data(), b != nullptr ? buffer.data() : nullptr);
  parameter.store(p + i, count);
  if (b != nullptr) buffer.store(b + i, count);
}

inline void run_sgd(const SgdTask& task, const SgdPointers& at, int64_t begin, int64_t end) {
  const EnvironmentGuard guard(task.arithmetic.rounding);
  with_hardware_types(task, [&]<class T, class S>(T, S) { sgd_run<T, S>(task, at, begin, end); });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
