// SPDX-License-Identifier: MIT
// Adam's step: core's definition over vectors, one pass over memory.
#include "../../core/environment.h"
#include "adam_table.h"
#include "adam_task.h"
#include "emulated_adam.h"
#include "hardware_ops.h"
#include "square_root.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

/// The operations of core's step where the processor has the rounding.
template <class T>
class StepOps : public HardwareOps<T> {
 public:
  using Value = typename HardwareOps<T>::Value;
  using HardwareOps<T>::HardwareOps;

  FPDET_INLINE Value add(Value x, Value y, int64_t) const { return x + y; }
  FPDET_INLINE Value sqrt(Value x, int64_t) const { return square_root<T>(x); }
  FPDET_INLINE Value maximum(Value x, Value y) const { return (x > y) | (x != x) ? x : y; }
};

template <class T, class S>
[[gnu::noinline]] void adam_run(const AdamTask& task, const AdamPointers& at, int64_t begin,
                                int64_t end) {
  using Ops = StepOps<T>;
  using Value = typename Ops::Value;
  constexpr int N = Ops::kLanes;
  const Ops ops(task.arithmetic, task.conversion);
  const auto k = task.coefficients.convert([](double c) { return Ops::coefficient(c); });
  const auto step = [&](S* p, const S* g, S* m, S* v, S* h) {
    const AdamValues<Value> before{ops.load(p), ops.load(m), ops.load(v),
                                   h != nullptr ? ops.load(h) : Value{}};
    const AdamValues<Value> after = adam_element(k, ops, before, ops.load(g));
    ops.template store<false>(m, after.average);
    ops.template store<false>(v, after.square);
    ops.template store<false>(p, after.parameter);
    if (h != nullptr) ops.template store<false>(h, after.most);
  };
  S* p = static_cast<S*>(at.parameter);
  const S* g = static_cast<const S*>(at.gradient);
  S* m = static_cast<S*>(at.average);
  S* v = static_cast<S*>(at.square);
  S* h = static_cast<S*>(at.most);
  int64_t i = begin;
  for (; i + N <= end; i += N) step(p + i, g + i, m + i, v + i, h != nullptr ? h + i : nullptr);
  if (i == end) return;
  const int64_t count = end - i;
  Edge<S, N> parameter(p + i, count), gradient(g + i, count), average(m + i, count);
  Edge<S, N> square(v + i, count), most(h != nullptr ? h + i : v + i, count);
  step(parameter.data(), gradient.data(), average.data(), square.data(),
       h != nullptr ? most.data() : nullptr);
  parameter.store(p + i, count);
  average.store(m + i, count);
  square.store(v + i, count);
  if (h != nullptr) most.store(h + i, count);
}

}  // namespace

void adam(const void* task, const void* tensor, int64_t begin, int64_t end) {
  const AdamTask& step = *static_cast<const AdamTask*>(task);
  const AdamPointers& at = *static_cast<const AdamPointers*>(tensor);
  if (step.emulated) return run_emulated_adam(step, at, begin, end);
  const EnvironmentGuard guard(step.arithmetic.rounding);
  with_hardware_types(step, [&]<class T, class S>(T, S) { adam_run<T, S>(step, at, begin, end); });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
