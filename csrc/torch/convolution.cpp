// SPDX-License-Identifier: MIT
// Convolution's passes as torch ops: tensors and attributes become contractions (core/conv.h),
// which the fast kernels take where they can and the slow path takes otherwise, with equal bits.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <utility>

#include "../core/conv.h"
#include "../cuda/ops.h"
#include "contraction.h"
#include "layout.h"

namespace fpdet::torch_ops {
namespace {

/// Borrowed from an argument or a tensor.
using Ints = torch::headeronly::IntHeaderOnlyArrayRef;

/// Spatial values of 1 to 3 dimensions, the leading ones filled up.
void fill_axes(int64_t (&axes)[kAxes], Ints given, size_t spatial, const char* name) {
  STD_TORCH_CHECK(given.size() == spatial, "fpdet: ", name, ": expected ", spatial, " values, got ",
                  given.size());
  for (size_t i = 0; i < spatial; ++i) axes[kAxes - spatial + i] = given[i];
}

TensorStrides strides_of(const Tensor& t) {
  const auto spatial = static_cast<size_t>(t.dim() - 2);
  TensorStrides s{t.stride(0), t.stride(1), {}};
  for (size_t i = 0; i < spatial; ++i) {
    s.x[kAxes - spatial + i] = t.stride(static_cast<int64_t>(2 + i));
  }
  return s;
}

Ints spatial_sizes(const Tensor& t) {
  const Ints sizes = t.sizes();
  const size_t ahead = std::min<size_t>(2, sizes.size());
  return {sizes.data() + ahead, sizes.size() - ahead};
}

struct Attributes {
  Ints stride, padding, dilation;
  int64_t groups;
};

/// Where a pass takes its random bits from.
struct Drawn {
  const std::optional<Tensor>& draw;
  int64_t pass_tag, batch_offset;
};

/// `in_channels` and `out_channels` are those of the whole convolution.
ConvShape shape_from(const Attributes& a, int64_t samples, int64_t in_channels,
                     int64_t out_channels, Ints in, Ints kernel, Ints out) {
  const size_t spatial = in.size();
  STD_TORCH_CHECK(spatial >= 1 && spatial <= kAxes,
                  "fpdet: expected 1 to 3 spatial dimensions, got ", spatial);
  STD_TORCH_CHECK(a.groups > 0 && in_channels % a.groups == 0 && out_channels % a.groups == 0,
                  "fpdet: groups: expected a divisor of ", in_channels, " input and ", out_channels,
                  " output channels, got ", a.groups);
  ConvShape s;
  s.samples = samples;
  s.groups = a.groups;
  s.in_channels = in_channels / a.groups;
  s.out_channels = out_channels / a.groups;
  fill_axes(s.in, in, spatial, "input_size");
  fill_axes(s.kernel, kernel, spatial, "kernel_size");
  fill_axes(s.out, out, spatial, "output_size");
  fill_axes(s.stride, a.stride, spatial, "stride");
  fill_axes(s.pad, a.padding, spatial, "padding");
  fill_axes(s.dilation, a.dilation, spatial, "dilation");
  for (int i = 0; i < kAxes; ++i) {
    STD_TORCH_CHECK(s.stride[i] > 0, "fpdet: stride: expected positive numbers, got ", s.stride[i]);
    STD_TORCH_CHECK(s.dilation[i] > 0, "fpdet: dilation: expected positive numbers, got ",
                    s.dilation[i]);
    STD_TORCH_CHECK(s.pad[i] >= 0, "fpdet: padding: expected no negative number, got ", s.pad[i]);
    STD_TORCH_CHECK(s.in[i] >= 0 && s.out[i] >= 0 && s.kernel[i] >= 0,
                    "fpdet: expected no negative size");
  }
  return s;
}

/// Channels last where torch's result would be: an operand is channels-last and not contiguous.
bool is_channels_last(const Tensor& t) {
  if (t.dim() < 4 || t.is_contiguous()) return false;
  int64_t expected = 1;
  if (t.size(1) != 1 && t.stride(1) != expected) return false;
  expected *= t.size(1);
  for (int64_t i = t.dim() - 1; i >= 2; --i) {
    if (t.size(i) != 1 && t.stride(i) != expected) return false;
    expected *= t.size(i);
  }
  return t.size(0) == 1 || t.stride(0) == expected;
}

Tensor new_result(const Tensor& like, const Sizes& sizes, bool channels_last) {
  const Sizes strides = channels_last ? channels_last_strides(sizes) : row_major_strides(sizes);
  int64_t bytes = like.element_size();
  for (const int64_t size : sizes) bytes *= size;
  return allocated("a result", bytes, [&] { return empty_strided(like, sizes, strides); });
}

Sizes result_sizes(int64_t first, int64_t second, Ints spatial) {
  Sizes sizes{first, second, 1, 1, 1};
  sizes.resize(2 + spatial.size());
  std::copy(spatial.begin(), spatial.end(), sizes.begin() + 2);
  return sizes;
}

void set_bias(cpu::ContractionCall& call, const std::optional<Tensor>& bias, const Tensor& first,
              int64_t channels) {
  if (!bias.has_value()) return;
  check_device(*bias, "bias");
  check_same_device(first, "input", *bias, "bias");
  check_same_scalar(first, "input", *bias, "bias");
  STD_TORCH_CHECK(bias->dim() == 1 && bias->size(0) == channels, "fpdet: bias: expected shape [",
                  channels, "], got ", bias->dim(), " dimensions of ", bias->numel(), " elements");
  call.bias = bias->const_data_ptr();
  call.bias_stride = bias->stride(0);
}

void check_operands(const Tensor& a, const char* a_name, const Tensor& b, const char* b_name) {
  check_device(a, a_name);
  check_device(b, b_name);
  check_same_device(a, a_name, b, b_name);
  check_same_scalar(a, a_name, b, b_name);
  STD_TORCH_CHECK(a.dim() == b.dim() && a.dim() >= 3 && a.dim() <= 2 + kAxes, "fpdet: ", b_name,
                  ": expected as many dimensions as ", a_name, " (3 to 5), got ", b.dim(), " and ",
                  a.dim());
}

Tensor output_pass(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                   const Attributes& attributes, Ints output_size, const std::string& arithmetic,
                   const Drawn& drawn) {
  check_operands(input, "input", weight, "weight");
  const int64_t out_channels = weight.size(0);
  const ConvShape shape = shape_from(attributes, input.size(0), input.size(1), out_channels,
                                     spatial_sizes(input), spatial_sizes(weight), output_size);
  STD_TORCH_CHECK(weight.size(1) == shape.in_channels, "fpdet: weight: expected ",
                  shape.in_channels, " input channels per group, got ", weight.size(1));
  const Tensor result = new_result(input, result_sizes(input.size(0), out_channels, output_size),
                                   is_channels_last(input) || is_channels_last(weight));
  auto call = call_for(
      forward_contraction(shape, strides_of(input), strides_of(weight), strides_of(result)),
      arithmetic_from(arithmetic), drawn.draw, drawn.pass_tag, drawn.batch_offset,
      scalar_of(input, "input"), &result);
  set_bias(call, bias, input, out_channels);
  call.left = weight.const_data_ptr();
  call.right = input.const_data_ptr();
  call.out = result.mutable_data_ptr();
  run(call, result);
  return result;
}

/// Parts whose outputs no tap reaches, as with strides longer than the kernel, are sums of no
/// terms, +0: the result is made so and they are dropped, as long as others are left.
void zero_what_has_no_terms(std::vector<Contraction>& parts, Tensor result) {
  const auto has_terms = [](const Contraction& c) {
    return c.terms.product() > 0 && c.outputs() > 0;
  };
  const auto kept = std::stable_partition(parts.begin(), parts.end(), has_terms);
  if (kept == parts.begin() || kept == parts.end()) return;
  parts.erase(kept, parts.end());
  zero_(result);
}

Tensor input_pass(const Tensor& grad_output, const Tensor& weight,
                  const std::optional<Tensor>& bias, const Attributes& attributes, Ints input_size,
                  const std::string& arithmetic, const Drawn& drawn) {
  check_operands(grad_output, "grad_output", weight, "weight");
  const int64_t in_channels = weight.size(1) * attributes.groups;
  const ConvShape shape = shape_from(attributes, grad_output.size(0), in_channels, weight.size(0),
                                     input_size, spatial_sizes(weight), spatial_sizes(grad_output));
  STD_TORCH_CHECK(grad_output.size(1) == weight.size(0), "fpdet: grad_output: expected ",
                  weight.size(0), " channels as weight has, got ", grad_output.size(1));
  const Tensor result =
      new_result(grad_output, result_sizes(grad_output.size(0), in_channels, input_size),
                 is_channels_last(grad_output) || is_channels_last(weight));
  const Scalar scalar = scalar_of(grad_output, "grad_output");
  const auto problem = [&](int64_t residue) {
    return grad_input_contraction(shape, strides_of(grad_output), strides_of(weight),
                                  strides_of(result), residue);
  };
  std::vector<Contraction> parts;
  for (int64_t residue = 0; residue < grad_input_residues(shape); ++residue) {
    parts.push_back(problem(residue));
  }
  if (!bias.has_value() && !result.is_cuda()) zero_what_has_no_terms(parts, result);
  auto call = call_for(parts[0], arithmetic_from(arithmetic), drawn.draw, drawn.pass_tag,
                       drawn.batch_offset, scalar, &result);
  call.rest.assign(parts.begin() + 1, parts.end());
  set_bias(call, bias, grad_output, in_channels);
  call.left = weight.const_data_ptr();
  call.right = grad_output.const_data_ptr();
  call.out = result.mutable_data_ptr();
  run(call, result);
  return result;
}

Tensor weight_pass(const Tensor& grad_output, const Tensor& input, const Attributes& attributes,
                   Ints kernel_size, const std::string& arithmetic, const Drawn& drawn) {
  check_operands(grad_output, "grad_output", input, "input");
  STD_TORCH_CHECK(grad_output.size(0) == input.size(0), "fpdet: input: expected ",
                  grad_output.size(0), " samples as grad_output has, got ", input.size(0));
  const ConvShape shape = shape_from(attributes, input.size(0), input.size(1), grad_output.size(1),
                                     spatial_sizes(input), kernel_size, spatial_sizes(grad_output));
  const Tensor result =
      new_result(input, result_sizes(grad_output.size(1), shape.in_channels, kernel_size),
                 is_channels_last(input) || is_channels_last(grad_output));
  auto call = call_for(grad_weight_contraction(shape, strides_of(grad_output), strides_of(input),
                                               strides_of(result)),
                       arithmetic_from(arithmetic), drawn.draw, drawn.pass_tag, drawn.batch_offset,
                       scalar_of(input, "input"), &result);
  call.left = grad_output.const_data_ptr();
  call.right = input.const_data_ptr();
  call.out = result.mutable_data_ptr();
  run(call, result);
  return result;
}

Tensor channel_pass(const Tensor& grad_output, const std::string& arithmetic, const Drawn& drawn) {
  check_device(grad_output, "grad_output");
  STD_TORCH_CHECK(grad_output.dim() >= 2 && grad_output.dim() <= 2 + kAxes,
                  "fpdet: grad_output: expected 2 to 5 dimensions, got ", grad_output.dim());
  const Scalar scalar = scalar_of(grad_output, "grad_output");
  ConvShape shape;
  shape.samples = grad_output.size(0);
  shape.out_channels = grad_output.size(1);
  const Ints out = spatial_sizes(grad_output);
  fill_axes(shape.out, out, out.size(), "output_size");
  const Tensor result = new_result(grad_output, {shape.out_channels}, false);
  // Fused or not, nothing but the additions is rounded: the terms are not products.
  auto call = call_for(channel_sum_contraction(shape, strides_of(grad_output), 1),
                       arithmetic_from(arithmetic), drawn.draw, drawn.pass_tag, drawn.batch_offset,
                       scalar, &result);
  call.left = one_of(scalar);
  call.right = grad_output.const_data_ptr();
  call.out = result.mutable_data_ptr();
  run(call, result);
  return result;
}

// The passes as ops.

Tensor convolution(const Tensor& input, const Tensor& weight, std::optional<Tensor> bias,
                   Sizes stride, Sizes padding, Sizes dilation, int64_t groups, Sizes output_size,
                   std::string arithmetic, std::optional<Tensor> draw, int64_t pass_tag,
                   int64_t batch_offset) {
  return output_pass(input, weight, bias, {stride, padding, dilation, groups}, output_size,
                     arithmetic, {draw, pass_tag, batch_offset});
}

Tensor convolution_grad_input(const Tensor& grad_output, const Tensor& weight,
                              std::optional<Tensor> bias, Sizes stride, Sizes padding,
                              Sizes dilation, int64_t groups, Sizes input_size,
                              std::string arithmetic, std::optional<Tensor> draw, int64_t pass_tag,
                              int64_t batch_offset) {
  return input_pass(grad_output, weight, bias, {stride, padding, dilation, groups}, input_size,
                    arithmetic, {draw, pass_tag, batch_offset});
}

Tensor convolution_grad_weight(const Tensor& grad_output, const Tensor& input, Sizes stride,
                               Sizes padding, Sizes dilation, int64_t groups, Sizes kernel_size,
                               std::string arithmetic, std::optional<Tensor> draw,
                               int64_t pass_tag) {
  return weight_pass(grad_output, input, {stride, padding, dilation, groups}, kernel_size,
                     arithmetic, {draw, pass_tag, 0});
}

Tensor channel_sum(const Tensor& grad_output, std::string arithmetic, std::optional<Tensor> draw,
                   int64_t pass_tag) {
  return channel_pass(grad_output, arithmetic, {draw, pass_tag, 0});
}

// For plain eager calls, of which a good part is the way of their arguments from Python: all
// numbers in one list. It ends with stride, padding, dilation, groups and the spatial size of
// forward's result.

struct Numbers {
  const int64_t* first;  ///< those before the geometry
  Attributes attributes;
  Ints size;

  Numbers(const Sizes& list, size_t count, const Tensor& tensor) : first(list.data()) {
    const size_t spatial = spatial_sizes(tensor).size();
    const size_t expected = count + 4 * spatial + 1;
    STD_TORCH_CHECK(list.size() == expected, "fpdet: numbers: expected ", expected, " for ",
                    spatial, " spatial dimensions, got ", list.size());
    const int64_t* at = first + count;
    const auto axes = [&] { return Ints(std::exchange(at, at + spatial), spatial); };
    attributes.stride = axes();
    attributes.padding = axes();
    attributes.dilation = axes();
    attributes.groups = *at++;
    size = axes();
  }
};

/// Forward. numbers: whether it is a transposed convolution, pass tag, batch offset, geometry.
Tensor convolution_forward(const Tensor& input, const Tensor& weight, std::optional<Tensor> bias,
                           Sizes numbers, std::string arithmetic, std::optional<Tensor> draw) {
  const Numbers n(numbers, 3, input);
  const auto pass = n.first[0] != 0 ? input_pass : output_pass;
  return pass(input, weight, bias, n.attributes, n.size, arithmetic,
              {draw, n.first[1], n.first[2]});
}

/// Those of its three gradients that are wanted, of up to three ops by one call. numbers: whether
/// it is a transposed convolution; whether the gradients of input, weight and bias are wanted;
/// their pass tags; batch offset, geometry.
std::vector<Tensor> convolution_gradients(const Tensor& grad, const Tensor& input,
                                          const Tensor& weight, Sizes numbers,
                                          std::string grad_input, std::string grad_weight,
                                          std::optional<Tensor> draw) {
  const Numbers n(numbers, 8, grad);
  const bool transposed = n.first[0] != 0;
  const int64_t* wanted = n.first + 1;
  const int64_t* tags = n.first + 4;
  const int64_t batch_offset = n.first[7];
  std::vector<Tensor> gradients;
  gradients.reserve(3);
  if (wanted[0]) {
    const auto pass = transposed ? output_pass : input_pass;
    gradients.push_back(pass(grad, weight, std::nullopt, n.attributes, spatial_sizes(input),
                             grad_input, {draw, tags[0], batch_offset}));
  }
  if (wanted[1]) {
    gradients.push_back(weight_pass(transposed ? input : grad, transposed ? grad : input,
                                    n.attributes, spatial_sizes(weight), grad_weight,
                                    {draw, tags[1], 0}));
  }
  if (wanted[2]) gradients.push_back(channel_pass(grad, grad_weight, {draw, tags[2], 0}));
  return gradients;
}

/// Whether a convolution of this dtype under this arithmetic takes a fast kernel, whatever its
/// shape.
bool convolution_has_kernel(std::string dtype, std::string arithmetic) {
  return cpu::fast_contraction_covers(call_for(Contraction{}, arithmetic_from(arithmetic),
                                               std::nullopt, 0, 0, scalar_named(dtype)));
}
bool convolution_has_cuda_kernel([[maybe_unused]] std::string dtype,
                                 [[maybe_unused]] std::string arithmetic) {
#if defined(FPDET_HAS_CUDA)
  return cuda::contraction_has_kernel(call_for(Contraction{}, arithmetic_from(arithmetic),
                                               std::nullopt, 0, 0, scalar_named(dtype)));
#else
  return false;
#endif
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fpdet, CompositeExplicitAutograd, m) {
  m.impl("convolution_has_kernel", TORCH_BOX(&convolution_has_kernel));
  m.impl("convolution_has_cuda_kernel", TORCH_BOX(&convolution_has_cuda_kernel));
}

// The same functions for every device: run() tells them apart.
#define FPDET_OPS(m)                                                      \
  m.impl("convolution", TORCH_BOX(&convolution));                         \
  m.impl("convolution_grad_input", TORCH_BOX(&convolution_grad_input));   \
  m.impl("convolution_grad_weight", TORCH_BOX(&convolution_grad_weight)); \
  m.impl("convolution_forward", TORCH_BOX(&convolution_forward));         \
  m.impl("convolution_gradients", TORCH_BOX(&convolution_gradients));     \
  m.impl("channel_sum", TORCH_BOX(&channel_sum));

STABLE_TORCH_LIBRARY_IMPL(fpdet, CPU, m){FPDET_OPS(m)}
#if defined(FPDET_HAS_CUDA)
STABLE_TORCH_LIBRARY_IMPL(fpdet, CUDA, m) {
  FPDET_OPS(m)
}
#endif
#undef FPDET_OPS

}  // namespace fpdet::torch_ops
