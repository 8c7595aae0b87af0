// SPDX-License-Identifier: MIT
// Products of matrices (core/matmul.h): batched alike, or one side without a batch.
#include "../core/matmul.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "contraction.h"
#include "layout.h"

namespace fpdet::torch_ops {
namespace {

/// The first `count` dimensions as one: of the tensor itself, or of a copy of it where strides do
/// not allow that.
Dimension<1> joined(Tensor& t, int64_t count) {
  const auto join = [&] {
    std::vector<Dimension<1>> dimensions;
    for (int64_t d = 0; d < count; ++d) append(dimensions, {t.size(d), {t.stride(d)}});
    return dimensions;
  };
  auto dimensions = join();
  if (dimensions.size() > 1) {
    t = row_major_copy(t);
    dimensions = join();
  }
  // What is left of several dimensions of a row-major tensor is one, or no element at all.
  Dimension<1> whole{1, {0}};
  for (const auto& dimension : dimensions) {
    whole = {whole.size * dimension.size, {dimension.stride[0]}};
  }
  return whole;
}

/// One bias for each group and row: the same ones again for each further group.
Tensor repeated(const Tensor& bias, int64_t groups) {
  Tensor copy = torch::stable::new_empty(bias, Sizes{groups, bias.size(0)});
  torch::stable::copy_(copy, bias);
  return copy;
}

Tensor matmul(const Tensor& given_a, const Tensor& given_b, std::optional<Tensor> bias,
              std::string arithmetic, std::optional<Tensor> draw, int64_t pass_tag,
              int64_t batch_offset) {
  check_device(given_a, "a");
  check_same_device(given_a, "a", given_b, "b");
  check_same_scalar(given_a, "a", given_b, "b");
  const Scalar scalar = scalar_of(given_a, "a");
  const Sizes a_sizes = sizes_of(given_a), b_sizes = sizes_of(given_b);
  STD_TORCH_CHECK(a_sizes.size() >= 2, "fpdet: a: expected a matrix or a batch of them, got shape ",
                  text_of(a_sizes));
  STD_TORCH_CHECK(b_sizes.size() >= 2, "fpdet: b: expected a matrix or a batch of them, got shape ",
                  text_of(b_sizes));
  const bool shared_b = b_sizes.size() == 2, shared_a = a_sizes.size() == 2 && !shared_b;
  MatmulShape shape;
  shape.terms = a_sizes.back();
  shape.columns = b_sizes.back();
  STD_TORCH_CHECK(b_sizes[b_sizes.size() - 2] == shape.terms, "fpdet: b: expected ", shape.terms,
                  " lines as a has columns, got shape ", text_of(b_sizes));
  STD_TORCH_CHECK(
      shared_a || shared_b ||
          Sizes(a_sizes.begin(), a_sizes.end() - 2) == Sizes(b_sizes.begin(), b_sizes.end() - 2),
      "fpdet: b: expected a matrix or the batch of a, whose shape is ", text_of(a_sizes),
      "; got shape ", text_of(b_sizes));
  if (bias.has_value()) {
    check_same_device(given_a, "a", *bias, "bias");
    check_same_scalar(given_a, "a", *bias, "bias");
    STD_TORCH_CHECK(sizes_of(*bias) == Sizes{shape.columns}, "fpdet: bias: expected shape [",
                    shape.columns, "], got ", text_of(sizes_of(*bias)));
  }

  Sizes result_sizes = shared_a ? b_sizes : a_sizes;
  result_sizes[result_sizes.size() - 2] = a_sizes[a_sizes.size() - 2];
  result_sizes.back() = shape.columns;
  const Tensor result = torch::stable::new_empty(given_a, result_sizes);
  int64_t lines_of_first = 1;
  for (size_t d = 1; d + 1 < result_sizes.size(); ++d) lines_of_first *= result_sizes[d];

  Tensor a = given_a, b = given_b;
  MatmulStrides a_strides, b_strides;
  if (shared_b) {
    const Dimension<1> lines = joined(a, a.dim() - 1);
    shape.lines = lines.size;
    a_strides.line = lines.stride[0];
  } else {
    const Dimension<1> a_batch = joined(a, a.dim() - 2), b_batch = joined(b, b.dim() - 2);
    shape.batches = b_batch.size;
    shape.lines = a_sizes[a_sizes.size() - 2];
    a_strides.batch = shared_a ? 0 : a_batch.stride[0];
    a_strides.line = a.stride(a.dim() - 2);
    b_strides.batch = b_batch.stride[0];
  }
  a_strides.column = a.stride(a.dim() - 1);
  b_strides.line = b.stride(b.dim() - 2);
  b_strides.column = b.stride(b.dim() - 1);

  auto call =
      call_for(matmul_contraction(shape, a_strides, b_strides), forward_arithmetic_from(arithmetic),
               draw, pass_tag, batch_offset * lines_of_first, scalar, &a);
  if (bias.has_value()) {
    const Tensor all = shape.batches == 1 ? *bias : repeated(*bias, shape.batches);
    bias = all;
    call.bias = all.const_data_ptr();
    call.bias_stride = all.stride(all.dim() - 1);
  }
  call.left = b.const_data_ptr();
  call.right = a.const_data_ptr();
  call.out = result.mutable_data_ptr();
  run(call, result);
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fpdet, CPU, m) { m.impl("matmul", TORCH_BOX(&matmul)); }
#if defined(FPDET_HAS_CUDA)
STABLE_TORCH_LIBRARY_IMPL(fpdet, CUDA, m) { m.impl("matmul", TORCH_BOX(&matmul)); }
#endif

}  // namespace fpdet::torch_ops
