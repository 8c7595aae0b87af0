// SPDX-License-Identifier: MIT
// The fast sums of gathered lines, portable half: what has a kernel, how the work is split.
#include <algorithm>

#include "dispatch.h"
#include "gather_sum.h"
#include "kernels/gather_task.h"

namespace fpdet::cpu {
namespace {

constexpr int64_t kManySums = 64;           // enough of them for all threads
constexpr int64_t kTile = 256;              // columns of an item where there are fewer
constexpr int64_t kWorthAThread = 1 << 15;  // additions

}  // namespace

bool fast_gather_sum_covers(const GatherSumCall& call) {
  const Format& format = call.arithmetic.format;
  return has_kernels() && call.order.is_tree() && !call.order.permuted() &&
         is_hardware(call.arithmetic.rounding) &&
         (format == kFloat64 || (format == kFloat32 && call.scalar != Scalar::Float64));
}

void fast_gather_sum(const GatherSumCall& call, const ParallelFor& parallel_for) {
  const kernels::GatherTask task{
      call.scalar,  call.order,   call.arithmetic,
      call.sums,    call.columns, call.sums >= kManySums ? call.columns : kTile,
      call.offsets, call.indices, call.x,
      call.x_line,  call.weights, call.weight_step,
      call.out};
  const int64_t per_item = (call.terms + call.sums) * call.columns / task.items() + 1;
  const auto kernel = gather_kernels().run;
  for_each_piece(parallel_for, task.items(), std::max<int64_t>(1, kWorthAThread / per_item),
                 [&](int64_t begin, int64_t end) { kernel(&task, begin, end); });
}

}  // namespace fpdet::cpu
