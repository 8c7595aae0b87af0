// SPDX-License-Identifier: MIT
#include "unary.h"

#include <algorithm>

#include "../core/environment.h"
#include "dispatch.h"
#include "kernels/functions_task.h"

namespace fpdet::cpu {
namespace {

constexpr int64_t kGrain = 4096;

kernels::UnaryTask task_of(const UnaryCall& call) {
  return {call.function,
          call.scalar,
          call.arithmetic,
          {call.draw.seed, call.draw.counter, call.draw.pass,
           static_cast<uint32_t>(call.draw.batch_offset), std::max<int64_t>(1, call.per_sample)},
          call.x,
          call.out};
}

template <Function F, class T>
[[gnu::noinline]] void run(const kernels::UnaryTask& task, int64_t begin, int64_t end) {
  const Arith arith(task.arithmetic, false);
  for (int64_t i = begin; i < end; ++i) {
    RandomBits random = task.random(i);
    const double x = widen(static_cast<const T*>(task.x)[i]);
    const double member = rounded_function<F>(x, arith, random);
    kernels::store_converted(member, arith, random, static_cast<T*>(task.out)[i]);
  }
}

}  // namespace

bool unary_covers(Function function, Scalar scalar, const Format& format) {
  return is_algebraic(function) || (scalar != Scalar::Float64 && embeds(format, kFloat32));
}

void slow_unary(const UnaryCall& call, const ParallelFor& parallel_for) {
  const kernels::UnaryTask task = task_of(call);
  parallel_for(call.count, kGrain, [&](int64_t begin, int64_t end) {
    const EnvironmentGuard guard(Rounding::NearestEven);
    with_function(call.function, [&]<Function F>() {
      with_scalar(call.scalar, [&]<class T>(T) { run<F, T>(task, begin, end); });
    });
  });
}

void unary(const UnaryCall& call, const ParallelFor& parallel_for) {
  if (!has_kernels()) return slow_unary(call, parallel_for);
  const kernels::UnaryTask task = task_of(call);
  const UnaryKernel kernel = unary_kernel();
  parallel_for(call.count, kGrain, [&](int64_t begin, int64_t end) { kernel(&task, begin, end); });
}

}  // namespace fpdet::cpu
