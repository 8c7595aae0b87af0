// SPDX-License-Identifier: MIT
// Ordered sums of chosen lines of a matrix (core/gather_sum.h). All indices are checked before any
// of them is used.
#include "../cpu/gather_sum.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "check.h"
#include "layout.h"
#include "parallel.h"
#include "shape.h"

namespace fpdet::torch_ops {
namespace {

constexpr double kSlowSeconds = 30e-9, kFastSeconds = 2e-9;  // a term, roughly

/// A vector of int64, side by side in memory.
Tensor check_integers(const Tensor& t, const char* name) {
  check_cpu(t, name);
  STD_TORCH_CHECK(t.scalar_type() == torch::headeronly::ScalarType::Long && t.dim() == 1,
                  "fpdet: ", name, ": expected an int64 tensor of one dimension, got dtype ",
                  torch::headeronly::toString(t.scalar_type()), ", shape ", text_of(sizes_of(t)));
  return t.is_contiguous() ? t : row_major_copy(t);
}

Tensor gather_sum(const Tensor& given_x, const Tensor& given_offsets, const Tensor& given_indices,
                  std::optional<Tensor> weights, std::string arithmetic, std::optional<Tensor> draw,
                  int64_t pass_tag, int64_t batch_offset) {
  check_cpu(given_x, "x");
  // Lanes are columns: they lie side by side, or are made to.
  const Tensor x = given_x.dim() == 2 && given_x.size(1) > 1 && given_x.stride(1) != 1
                       ? row_major_copy(given_x)
                       : given_x;
  cpu::GatherSumCall call;
  call.scalar = scalar_of(x, "x");
  STD_TORCH_CHECK(x.dim() == 2, "fpdet: x: expected a matrix, got shape ", text_of(sizes_of(x)));
  const Tensor offsets = check_integers(given_offsets, "offsets");
  const Tensor indices = check_integers(given_indices, "indices");
  call.offsets = static_cast<const int64_t*>(offsets.const_data_ptr());
  call.indices = static_cast<const int64_t*>(indices.const_data_ptr());
  const int64_t lines = x.size(0), count = indices.numel();
  STD_TORCH_CHECK(offsets.numel() >= 1,
                  "fpdet: offsets: expected one number more than there are sums, got none");
  call.sums = offsets.numel() - 1;
  STD_TORCH_CHECK(call.offsets[0] >= 0 && call.offsets[call.sums] <= count,
                  "fpdet: offsets: expected numbers from 0 to ", count,
                  ", as many as there are indices; got ", call.offsets[0], " to ",
                  call.offsets[call.sums]);
  for (int64_t i = 0; i < call.sums; ++i) {
    const int64_t terms = call.offsets[i + 1] - call.offsets[i];
    STD_TORCH_CHECK(terms >= 0, "fpdet: offsets: expected no number below the one before, got ",
                    call.offsets[i + 1], " after ", call.offsets[i], " at ", i + 1);
    check_terms(terms);
  }
  for (int64_t i = 0; i < count; ++i) {
    STD_TORCH_CHECK(call.indices[i] >= 0 && call.indices[i] < lines,
                    "fpdet: indices: expected numbers in [0, ", lines, "), got ", call.indices[i],
                    " at ", i);
  }
  if (weights.has_value()) {
    check_cpu(*weights, "weights");
    check_same_scalar(x, "x", *weights, "weights");
    STD_TORCH_CHECK(sizes_of(*weights) == Sizes{count}, "fpdet: weights: expected shape [", count,
                    "] as indices has, got ", text_of(sizes_of(*weights)));
    call.weights = weights->const_data_ptr();
    call.weight_step = weights->stride(0);
  }
  const ParsedArithmetic& parsed = forward_arithmetic_from(arithmetic);
  call.order = parsed.order;
  call.arithmetic = parsed.resolve(call.scalar == Scalar::Float64);
  call.draw = draw_from(draw, parsed.stochastic, pass_tag, batch_offset);
  call.columns = x.size(1);
  call.x = x.const_data_ptr();
  call.x_line = x.stride(0);
  const Tensor result = torch::stable::new_empty(x, Sizes{call.sums, call.columns});
  call.out = result.mutable_data_ptr();
  if (result.numel() == 0) return result;

  const double work = static_cast<double>(call.offsets[call.sums] - call.offsets[0] + call.sums) *
                      static_cast<double>(call.columns);
  const auto loop = [&](double seconds_per_term) {
    return [seconds = work * seconds_per_term](int64_t items, int64_t grain, const auto& body) {
      interruptible_parallel_for(seconds / static_cast<double>(items), items, grain, body);
    };
  };
  if (cpu::fast_gather_sum_covers(call)) {
    cpu::fast_gather_sum(call, loop(kFastSeconds));
  } else {
    cpu::slow_gather_sum(call, loop(kSlowSeconds));
  }
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fpdet, CPU, m) { m.impl("gather_sum", TORCH_BOX(&gather_sum)); }

}  // namespace fpdet::torch_ops
