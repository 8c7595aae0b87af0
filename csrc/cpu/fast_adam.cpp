// SPDX-License-Identifier: MIT
// Adam's kernels, portable half: what has one, how the work is split among threads.
#include <algorithm>

#include "adam.h"
#include "dispatch.h"
#include "kernels/adam_task.h"

namespace fpdet::cpu {
namespace {

/// Elements worth waking another thread for.
constexpr int64_t kGrain = 8192;

}  // namespace

/// Hardware roundings of a float32 or float64 accumulator that the operands fit into.
bool fast_adam_covers(const AdamCall& call) {
  const Arithmetic& arithmetic = call.arithmetic;
  return has_kernels() && is_hardware(arithmetic.rounding) &&
         (arithmetic.format == kFloat64 ||
          (arithmetic.format == kFloat32 && call.scalar != Scalar::Float64));
}

void fast_adam(const AdamCall& call, const ParallelFor& parallel_for) {
  const Format own = format_of(call.scalar);
  const Rounding rounding = call.arithmetic.rounding;
  kernels::AdamTask task{call.scalar,
                         call.arithmetic.format == kFloat64,
                         call.arithmetic,
                         {},
                         adam_coefficients(call.scalars, call.arithmetic.format)};
  if (embeds(own, kFloat32)) task.conversion.format32 = {own, rounding, {}};
  task.conversion.format64 = {own, rounding, {}};
  // The tensors as one row of elements: tensor i has those from starts[i] to starts[i + 1].
  std::vector<int64_t> starts{0};
  for (const AdamTensor& tensor : call.tensors) starts.push_back(starts.back() + tensor.count);
  const AdamKernel kernel = adam_kernel();
  parallel_for(starts.back(), kGrain, [&](int64_t begin, int64_t end) {
    auto i = static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), begin) -
                                 starts.begin() - 1);
    for (; begin < end; ++i) {
      const AdamTensor& tensor = call.tensors[i];
      const kernels::AdamPointers pointers{tensor.number,   tensor.count,   tensor.parameter,
                                           tensor.gradient, tensor.average, tensor.square,
                                           tensor.most};
      const int64_t stop = std::min(end, starts[i + 1]);
      if (begin < stop) kernel(&task, &pointers, begin - starts[i], stop - starts[i]);
      begin = std::max(begin, stop);
    }
  });
}

}  // namespace fpdet::cpu
