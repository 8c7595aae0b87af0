// SPDX-License-Identifier: MIT
#include "unary.h"

#include <algorithm>

#include "dispatch.h"
#include "kernels/functions_task.h"

namespace fpdet::cpu {

void unary(const UnaryCall& call, const ParallelFor& parallel_for) {
  if (!has_kernels()) return slow_unary(call, parallel_for);
  const kernels::UnaryTask task{
      call.function,
      call.scalar,
      call.arithmetic,
      {call.draw.seed, call.draw.counter, call.draw.pass,
       static_cast<uint32_t>(call.draw.batch_offset), std::max<int64_t>(1, call.per_sample)},
      call.x,
      call.out};
  const UnaryKernel kernel = unary_kernel();
  parallel_for(call.count, kUnaryGrain,
               [&](int64_t begin, int64_t end) { kernel(&task, begin, end); });
}

}  // namespace fpdet::cpu
