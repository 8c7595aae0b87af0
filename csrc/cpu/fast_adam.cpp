// SPDX-License-Identifier: MIT
// Adam's kernels, portable half: what has one, how the work is split among threads.
#include <algorithm>

#include "adam.h"
#include "elementwise_kernels.h"
#include "kernels/adam_task.h"

namespace fpdet::cpu {
namespace {

/// Elements worth waking another thread for.
constexpr int64_t kGrain = 8192;

}  // namespace

bool fast_adam_covers(const AdamCall& call) { return kernels_cover(call.arithmetic, call.scalar); }

void fast_adam(const AdamCall& call, const ParallelFor& parallel_for) {
  const kernels::AdamTask task{call.scalar,
                               call.arithmetic.format == kFloat64,
                               !hardware_covers(call.arithmetic, call.scalar),
                               !embeds(call.arithmetic.format, format_of(call.scalar)),
                               call.arithmetic,
                               conversion_to(call.scalar, call.arithmetic),
                               adam_coefficients(call.scalars, call.arithmetic.format),
                               source_of(call.draw)};
  // The tensors as one row of elements: tensor i has those from starts[i] to starts[i + 1].
  std::vector<int64_t> starts{0};
  for (const AdamTensor& tensor : call.tensors) starts.push_back(starts.back() + tensor.count);
  const AdamKernel kernel = adam_kernel();
  for_each_piece(parallel_for, starts.back(), kGrain, [&](int64_t begin, int64_t end) {
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
