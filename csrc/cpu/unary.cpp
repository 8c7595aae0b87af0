// SPDX-License-Identifier: MIT
#include "unary.h"

#include "dispatch.h"
#include "elementwise_kernels.h"
#include "kernels/functions_task.h"

namespace fpdet::cpu {

void unary(const UnaryCall& call, const ParallelFor& parallel_for) {
  if (!has_kernels()) return slow_unary(call, parallel_for);
  const kernels::UnaryTask task{call.function,   call.scalar,
                                call.arithmetic, source_of(call.draw, call.per_sample),
                                call.x,          call.out};
  const UnaryKernel kernel = unary_kernel();
  for_each_piece(parallel_for, call.count, kUnaryGrain,
                 [&](int64_t begin, int64_t end) { kernel(&task, begin, end); });
}

}  // namespace fpdet::cpu
