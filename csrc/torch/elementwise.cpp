// SPDX-License-Identifier: MIT
// Ops of one operand or in place: rounding to a format, and the SGD step. Elements are numbered
// row-major whatever the strides are.
#include "../cpu/elementwise.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>

#include "../cuda/ops.h"
#include "check.h"
#include "elementwise.h"
#include "layout.h"

namespace fpdet::torch_ops {
namespace {

// `where` a call's elements lie.
void run(const cpu::RoundCall& call, [[maybe_unused]] const Tensor& where) {
#if defined(FPDET_HAS_CUDA)
  if (where.is_cuda()) {
    return on_gpu(
        where, [&] { return describe(call.count, call.rounding, call.format); },
        [&](const cuda::Surroundings& gpu) { cuda::round(call, gpu); });
  }
#endif
  if (elementwise_kernels_in_use() && cpu::fast_round_covers(call)) {
    cpu::fast_round(call, interruptible(kFastSecondsPerElement));
  } else {
    cpu::slow_round(call, interruptible(kSlowSecondsPerElement));
  }
}
/// Not to be interrupted: half a step would be left behind.
void run(const cpu::SgdCall& call, [[maybe_unused]] const Tensor& where) {
#if defined(FPDET_HAS_CUDA)
  if (where.is_cuda()) {
    const Arithmetic& a = call.arithmetic;
    int64_t count = 0;
    for (const cpu::SgdTensor& tensor : call.tensors) count += tensor.count;
    return on_gpu(
        where, [&] { return describe(count, a.rounding, a.format); },
        [&](const cuda::Surroundings& gpu) { cuda::sgd(call, gpu); });
  }
#endif
  if (elementwise_kernels_in_use() && cpu::fast_sgd_covers(call)) {
    cpu::fast_sgd(call, parallel_for);
  } else {
    cpu::slow_sgd(call, parallel_for);
  }
}

cpu::RoundCall round_call(Scalar scalar, const std::string& format, const std::string& rounding) {
  cpu::RoundCall call;
  call.scalar = scalar;
  try {
    call.format = parse_format(format);
    const ParsedRounding parsed = parse_rounding(rounding);
    call.rounding = parsed.rounding;
    call.stochastic = parsed.stochastic;
  } catch (const std::invalid_argument& error) {
    STD_TORCH_CHECK(false, error.what());
  }
  return call;
}

/// x rounded to `format` (event 0), then to its own dtype (event 1): the second rounding does
/// nothing unless the format has numbers that the dtype lacks.
void round_out(const Tensor& x, std::string format, std::string rounding,
               std::optional<Tensor> draw, int64_t batch_offset, Tensor out) {
  check_device(x, "x");
  check_device(out, "out");
  check_same_device(x, "x", out, "out");
  check_same_scalar(x, "x", out, "out");
  check_same_shape(x, "x", out, "out");
  cpu::RoundCall call = round_call(scalar_of(x, "x"), format, rounding);
  call.draw = draw_from(draw, call.stochastic, kPassRound, batch_offset, &x);
  run_into(out, x, call, call.rounding == Rounding::Stochastic,
           [&](const RoundCall& ready) { run(ready, x); });
}

Tensor round(const Tensor& x, std::string format, std::string rounding, std::optional<Tensor> draw,
             int64_t batch_offset) {
  check_device(x, "x");
  const Tensor result = large_empty_like(x);
  round_out(x, std::move(format), std::move(rounding), std::move(draw), batch_offset, result);
  return result;
}

cpu::SgdCall sgd_call(Scalar scalar, const ParsedArithmetic& parsed) {
  cpu::SgdCall call;
  call.scalar = scalar;
  call.arithmetic = parsed.resolve(scalar == Scalar::Float64);
  return call;
}

ParsedArithmetic sgd_arithmetic(const std::string& words) {
  const ParsedArithmetic& parsed = arithmetic_from(words);
  STD_TORCH_CHECK(parsed.order.is_tree(), "fpdet: arithmetic: an SGD step has no sum: expected a ",
                  "tree order such as sequential, not exact, kahan or neumaier, got ", words);
  return parsed;
}

void sgd_(std::vector<Tensor> params, std::vector<Tensor> grads, std::vector<Tensor> buffers,
          bool first_step, double lr, double momentum, double dampening, double weight_decay,
          bool nesterov, bool maximize, double rescale, std::string arithmetic,
          std::optional<Tensor> draw) {
  STD_TORCH_CHECK(grads.size() == params.size(), "fpdet: grads: expected ", params.size(),
                  " tensors as params has, got ", grads.size());
  STD_TORCH_CHECK(buffers.size() == (momentum != 0 ? params.size() : 0),
                  "fpdet: momentum_buffers: expected ", momentum != 0 ? params.size() : 0,
                  " tensors, got ", buffers.size());
  const ParsedArithmetic parsed = sgd_arithmetic(arithmetic);
  // All checks come before any work: a refused step leaves no parameter changed.
  std::vector<Scalar> scalars;
  for (size_t i = 0; i < params.size(); ++i) {
    check_device(params[i], "params");
    check_same_device(params[0], "params", params[i], "params");
    check_same_device(params[i], "params", grads[i], "grads");
    check_same_scalar(params[i], "params", grads[i], "grads");
    check_same_shape(params[i], "params", grads[i], "grads");
    scalars.push_back(scalar_of(params[i], "params"));
    if (momentum == 0) continue;
    check_same_device(params[i], "params", buffers[i], "momentum_buffers");
    check_same_scalar(params[i], "params", buffers[i], "momentum_buffers");
    check_same_shape(params[i], "params", buffers[i], "momentum_buffers");
  }

  const bool draws = parsed.rounding == Rounding::Stochastic;
  struct CopyBack {
    Tensor to, from;
  };
  std::vector<CopyBack> copies;
  std::vector<Tensor> gradients;
  for (const Scalar scalar :
       {Scalar::Float32, Scalar::Float64, Scalar::BFloat16, Scalar::Float16}) {
    cpu::SgdCall call = sgd_call(scalar, parsed);
    call.scalars = {lr, momentum, dampening, weight_decay, rescale, nesterov, maximize, first_step};
    call.draw =
        draw_from(draw, parsed.stochastic, kPassSgd, 0, params.empty() ? nullptr : params.data());
    for (size_t i = 0; i < params.size(); ++i) {
      if (scalars[i] != scalar) continue;
      cpu::SgdTensor tensor{params[i].numel(), static_cast<uint32_t>(i)};
      if (lies_well(params[i], draws) && same_strides(params[i], grads[i]) &&
          (momentum == 0 || same_strides(params[i], buffers[i]))) {
        tensor.parameter = params[i].mutable_data_ptr();
        tensor.gradient = grads[i].const_data_ptr();
        if (momentum != 0) tensor.buffer = buffers[i].mutable_data_ptr();
      } else {
        gradients.push_back(row_major_copy(grads[i]));
        tensor.gradient = gradients.back().const_data_ptr();
        copies.push_back({params[i], row_major_copy(params[i])});
        tensor.parameter = copies.back().from.mutable_data_ptr();
        if (momentum != 0) {
          copies.push_back({buffers[i], row_major_copy(buffers[i])});
          tensor.buffer = copies.back().from.mutable_data_ptr();
        }
      }
      call.tensors.push_back(tensor);
    }
    if (!call.tensors.empty()) run(call, params[0]);
  }
  for (CopyBack& copy : copies) torch::stable::copy_(copy.to, copy.from);
}

bool round_has_kernel(std::string dtype, std::string format, std::string rounding) {
  return cpu::fast_round_covers(round_call(scalar_named(dtype), format, rounding));
}
bool sgd_has_kernel(std::string dtype, std::string arithmetic) {
  return cpu::fast_sgd_covers(sgd_call(scalar_named(dtype), sgd_arithmetic(arithmetic)));
}
bool sgd_has_cuda_kernel([[maybe_unused]] std::string dtype,
                         [[maybe_unused]] std::string arithmetic) {
#if defined(FPDET_HAS_CUDA)
  return cuda::sgd_has_kernel(sgd_call(scalar_named(dtype), sgd_arithmetic(arithmetic)));
#else
  return false;
#endif
}

}  // namespace

// The same functions for every device: run() tells them apart.
#define FPDET_OPS(m)                          \
  m.impl("round", TORCH_BOX(&round));         \
  m.impl("round_out", TORCH_BOX(&round_out)); \
  m.impl("sgd_", TORCH_BOX(&sgd_));

STABLE_TORCH_LIBRARY_IMPL(fpdet, CPU, m){FPDET_OPS(m)}
#if defined(FPDET_HAS_CUDA)
STABLE_TORCH_LIBRARY_IMPL(fpdet, CUDA, m){FPDET_OPS(m)}
#endif
#undef FPDET_OPS

STABLE_TORCH_LIBRARY_IMPL(fpdet, CompositeExplicitAutograd, m) {
  m.impl("round_has_kernel", TORCH_BOX(&round_has_kernel));
  m.impl("sgd_has_kernel", TORCH_BOX(&sgd_has_kernel));
  m.impl("sgd_has_cuda_kernel", TORCH_BOX(&sgd_has_cuda_kernel));
}

}  // namespace fpdet::torch_ops
