// SPDX-License-Identifier: MIT
// One rounded addition an element.
#pragma once

#include "../../core/environment.h"
#include "elementwise_task.h"
#include "hardware_ops.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class T, class S>
[[gnu::noinline]] void add_run(const AddTask& task, int64_t begin, int64_t end) {
  constexpr int N = kFull<T>;
  const HardwareOps<T> ops(task.arithmetic, task.conversion);
  const S* a = static_cast<const S*>(task.a);
  const S* b = static_cast<const S*>(task.b);
  S* out = static_cast<S*>(task.out);
  for_vectors<N>(
      task.stream, out, begin, end,
      [&]<bool Stream>(int64_t i) {
        ops.template store<Stream>(out + i, ops.add(ops.load(a + i), ops.load(b + i)));
      },
      [&](int64_t i, int64_t count) {
        Edge<S, N> x(a + i, count), y(b + i, count);
        ops.template store<false>(x.data(), ops.add(ops.load(x.data()), ops.load(y.data())));
        x.store(out + i, count);
      });
}

inline void run_add(const AddTask& task, int64_t begin, int64_t end) {
  const EnvironmentGuard guard(task.arithmetic.rounding);
  with_hardware_types(task, [&]<class T, class S>(T, S) { add_run<T, S>(task, begin, end); });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
