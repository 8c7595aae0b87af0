// SPDX-License-Identifier: MIT
// Exact sums that are rounded later (core/partials.h): made of products, merged, rounded once.
// Number i of the partial of output j lies at [i, j].
#include "../cpu/partials.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "check.h"
#include "parallel.h"
#include "shape.h"

namespace fpdet::torch_ops {
namespace {

using torch::headeronly::ScalarType;

constexpr double kTermSeconds = 1e-9, kNumberSeconds = 100e-9;  // roughly

cpu::ParallelFor loop(double seconds) {
  return [seconds](int64_t count, int64_t grain, const auto& body) {
    interruptible_parallel_for(seconds / static_cast<double>(count + 1), count, grain, body);
  };
}

/// The table as a tensor: the number of planes, then `shape`.
Tensor tensor_of(const cpu::PartialTable& table, const Tensor& like, Sizes shape) {
  shape.insert(shape.begin(), table.numbers());
  const Tensor result = torch::stable::new_empty(like, shape, ScalarType::Double);
  if (result.numel() > 0) table.copy_to(static_cast<double*>(result.mutable_data_ptr()));
  return result;
}

Tensor partial_products(const Tensor& a, const Tensor& b) {
  check_cpu(a, "a");
  check_cpu(b, "b");
  check_same_scalar(a, "a", b, "b");
  cpu::PartialProducts call;
  call.scalar = scalar_of(a, "a");
  STD_TORCH_CHECK(call.scalar != Scalar::Float64,
                  "fpdet: a: expected dtype float32, bfloat16 or float16, whose products float64 "
                  "holds, got float64");
  STD_TORCH_CHECK(a.dim() == 3 && b.dim() == 3 && a.size(0) == b.size(0) && a.size(2) == b.size(2),
                  "fpdet: a, b: expected shapes [G, M, T] and [G, N, T], got ",
                  text_of(sizes_of(a)), " and ", text_of(sizes_of(b)));
  call.groups = a.size(0);
  call.left_rows = a.size(1);
  call.right_rows = b.size(1);
  call.terms = a.size(2);
  check_terms(call.terms);
  call.left = {a.const_data_ptr(), a.stride(0), a.stride(1), a.stride(2)};
  call.right = {b.const_data_ptr(), b.stride(0), b.stride(1), b.stride(2)};
  cpu::PartialTable table(call.outputs());
  if (call.outputs() > 0) {
    const double work = static_cast<double>(call.outputs()) * static_cast<double>(call.terms + 1);
    cpu::partial_products(call, table, loop(work * kTermSeconds));
  }
  return tensor_of(table, a, {call.groups, call.left_rows, call.right_rows});
}

cpu::PartialParts parts_of(const Tensor& partials) {
  check_cpu(partials, "partials");
  STD_TORCH_CHECK(partials.scalar_type() == ScalarType::Double && partials.dim() == 3 &&
                      partials.size(1) >= kPartialMin && partials.is_contiguous(),
                  "fpdet: partials: expected a contiguous float64 tensor [parts, numbers, outputs] "
                  "with at least ",
                  kPartialMin, " numbers, got dtype ",
                  torch::headeronly::toString(partials.scalar_type()), ", shape ",
                  text_of(sizes_of(partials)));
  return {partials.size(0), partials.size(1), partials.size(2),
          static_cast<const double*>(partials.const_data_ptr())};
}

cpu::ParallelFor loop_over(const cpu::PartialParts& parts) {
  return loop(static_cast<double>(parts.parts * parts.numbers) *
              static_cast<double>(parts.outputs) * kNumberSeconds);
}

Tensor merge_partials(const Tensor& partials) {
  const cpu::PartialParts parts = parts_of(partials);
  cpu::PartialTable table(parts.outputs);
  if (parts.outputs > 0) cpu::merge_partials(parts, table, loop_over(parts));
  return tensor_of(table, partials, {parts.outputs});
}

Tensor round_partials(const Tensor& partials, std::string rounding, std::string dtype) {
  const cpu::PartialParts parts = parts_of(partials);
  const Rounding parsed = arithmetic_from(rounding).rounding;
  STD_TORCH_CHECK(parsed != Rounding::Stochastic,
                  "fpdet: rounding: expected one that draws nothing, got stochastic");
  constexpr ScalarType kTypes[] = {ScalarType::Double, ScalarType::Float, ScalarType::BFloat16,
                                   ScalarType::Half};
  const Scalar scalar = scalar_named(dtype);
  const Tensor result =
      torch::stable::new_empty(partials, {parts.outputs}, kTypes[static_cast<int>(scalar)]);
  if (parts.outputs > 0) {
    cpu::round_partials(parts, parsed, scalar, result.mutable_data_ptr(), loop_over(parts));
  }
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fpdet, CPU, m) {
  m.impl("partial_products", TORCH_BOX(&partial_products));
  m.impl("merge_partials", TORCH_BOX(&merge_partials));
  m.impl("round_partials", TORCH_BOX(&round_partials));
}

}  // namespace fpdet::torch_ops
