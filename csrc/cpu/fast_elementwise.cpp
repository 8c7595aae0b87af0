// SPDX-License-Identifier: MIT
// The fast elementwise ops, portable half: what has a kernel, how the work is split among threads.
#include <algorithm>

#include "binary_rows.h"
#include "elementwise.h"
#include "elementwise_kernels.h"

namespace fpdet::cpu {
namespace {

/// Elements worth waking another thread for.
constexpr int64_t kGrain = 16384;
/// From here on a result goes past the caches: it would push out more than it leaves.
constexpr int64_t kStreamBytes = int64_t{8} << 20;
/// Rows shorter than this do not pay for the fence behind them.
constexpr int64_t kStreamColumns = 1024;

int64_t bytes_of(Scalar scalar) {
  return with_scalar(scalar, []<class T>(T) { return static_cast<int64_t>(sizeof(T)); });
}

}  // namespace

bool fast_round_covers(const RoundCall& call) {
  // One of the two formats holds the other, so that one rounding is all.
  const Format own = format_of(call.scalar);
  return has_kernels() && (embeds(call.format, own) || embeds(own, call.format)) &&
         !call.stochastic.keyed_by_operands;
}

bool fast_binary_covers(const BinaryCall& call) {
  return kernels_cover(call.arithmetic, call.scalar);
}
bool fast_sgd_covers(const SgdCall& call) { return kernels_cover(call.arithmetic, call.scalar); }

void fast_round(const RoundCall& call, const ParallelFor& parallel_for) {
  kernels::RoundTask task;
  task.scalar = call.scalar;
  task.wide = call.scalar == Scalar::Float64 ||
              (call.rounding == Rounding::Stochastic && !bias_fits_32(call.stochastic));
  const Format own = format_of(call.scalar);
  const Format& target = embeds(own, call.format) ? own : call.format;
  if (task.wide) {
    task.format64 = {target, call.rounding, call.stochastic};
  } else {
    task.format32 = {target, call.rounding, call.stochastic};
  }
  task.source = source_of(call.draw, call.per_sample);
  task.stream = call.count * bytes_of(call.scalar) >= kStreamBytes;
  task.x = call.x;
  task.out = call.out;
  const ElementwiseKernels& kernels = elementwise_kernels();
  for_each_piece(parallel_for, call.count, kGrain,
                 [&](int64_t begin, int64_t end) { kernels.round(&task, begin, end); });
}

void fast_binary(const BinaryCall& call, const ParallelFor& parallel_for) {
  kernels::BinaryTask task;
  task.scalar = call.scalar;
  task.operation = call.operation;
  task.wide = call.arithmetic.format == kFloat64;
  task.emulated = !hardware_covers(call.arithmetic, call.scalar);
  task.converts = !embeds(call.arithmetic.format, format_of(call.scalar));
  task.arithmetic = call.arithmetic;
  task.conversion = conversion_to(call.scalar, call.arithmetic);
  task.source = source_of(call.draw, call.per_sample);
  task.stream =
      call.count * bytes_of(call.scalar) >= kStreamBytes && call.columns >= kStreamColumns;
  const ElementwiseKernels& kernels = elementwise_kernels();
  for_each_piece(parallel_for, call.count, kGrain, [&](int64_t begin, int64_t end) {
    for_rows(call, begin, end,
             [&](const BinaryRow* rows, int64_t count) { kernels.binary(&task, rows, count); });
  });
}

void fast_sgd(const SgdCall& call, const ParallelFor& parallel_for) {
  const kernels::SgdTask task{call.scalar,
                              call.arithmetic.format == kFloat64,
                              !hardware_covers(call.arithmetic, call.scalar),
                              !embeds(call.arithmetic.format, format_of(call.scalar)),
                              call.arithmetic,
                              conversion_to(call.scalar, call.arithmetic),
                              sgd_coefficients(call.scalars, call.arithmetic.format),
                              source_of(call.draw)};
  // The tensors as one row of elements: tensor i has those from starts[i] to starts[i + 1].
  std::vector<int64_t> starts{0};
  for (const SgdTensor& tensor : call.tensors) starts.push_back(starts.back() + tensor.count);
  const ElementwiseKernels& kernels = elementwise_kernels();
  for_each_piece(parallel_for, starts.back(), kGrain, [&](int64_t begin, int64_t end) {
    auto i = static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), begin) -
                                 starts.begin() - 1);
    for (; begin < end; ++i) {
      const SgdTensor& tensor = call.tensors[i];
      const kernels::SgdPointers pointers{tensor.number, tensor.count, tensor.parameter,
                                          tensor.gradient, tensor.buffer};
      const int64_t stop = std::min(end, starts[i + 1]);
      if (begin < stop) kernels.sgd(&task, &pointers, begin - starts[i], stop - starts[i]);
      begin = std::max(begin, stop);
    }
  });
}

}  // namespace fpdet::cpu
