// SPDX-License-Identifier: MIT
// Adam's step, in place. Elements are numbered row-major whatever the strides are.
#include "../cpu/adam.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "../cuda/ops.h"
#include "check.h"
#include "elementwise.h"
#include "layout.h"

namespace fpdet::torch_ops {
namespace {

/// Not to be interrupted: half a step would be left behind.
void run(const cpu::AdamCall& call, [[maybe_unused]] const Tensor& where) {
#if defined(FPDET_HAS_CUDA)
  if (where.is_cuda()) {
    const Arithmetic& a = call.arithmetic;
    int64_t count = 0;
    for (const cpu::AdamTensor& tensor : call.tensors) count += tensor.count;
    return on_gpu(
        where, [&] { return describe(count, a.rounding, a.format); },
        [&](const cuda::Surroundings& gpu) { cuda::adam(call, gpu); });
  }
#endif
  if (elementwise_kernels_in_use() && cpu::fast_adam_covers(call)) {
    cpu::fast_adam(call, parallel_for);
  } else {
    cpu::slow_adam(call, parallel_for);
  }
}

const ParsedArithmetic& adam_arithmetic(const std::string& words) {
  const ParsedArithmetic& parsed = arithmetic_from(words);
  STD_TORCH_CHECK(parsed.order.is_tree(), "fpdet: arithmetic: an Adam step has no sum: expected a ",
                  "tree order such as sequential, not exact, kahan or neumaier, got ", words);
  return parsed;
}

cpu::AdamCall adam_call(Scalar scalar, const ParsedArithmetic& parsed) {
  cpu::AdamCall call;
  call.scalar = scalar;
  call.arithmetic = parsed.resolve(scalar == Scalar::Float64);
  return call;
}

/// A list of tensors that go with params, one by one.
struct Companion {
  const std::vector<Tensor>& tensors;
  const char* name;
};

void adam_(std::vector<Tensor> params, std::vector<Tensor> grads, std::vector<Tensor> exp_avgs,
           std::vector<Tensor> exp_avg_sqs, std::vector<Tensor> max_exp_avg_sqs, double lr,
           double beta1, double beta2, double beta1_power, double beta2_power, double eps,
           double weight_decay, bool decoupled, bool maximize, std::string arithmetic,
           std::optional<Tensor> draw) {
  const bool amsgrad = !max_exp_avg_sqs.empty();
  std::vector<Companion> companions{
      {grads, "grads"}, {exp_avgs, "exp_avgs"}, {exp_avg_sqs, "exp_avg_sqs"}};
  if (amsgrad) companions.push_back({max_exp_avg_sqs, "max_exp_avg_sqs"});
  for (const Companion& companion : companions) {
    STD_TORCH_CHECK(companion.tensors.size() == params.size(), "fpdet: ", companion.name,
                    ": expected ", params.size(), " tensors as params has, got ",
                    companion.tensors.size());
  }
  const ParsedArithmetic parsed = adam_arithmetic(arithmetic);
  // All checks come before any work: a refused step leaves no parameter changed.
  std::vector<Scalar> scalars;
  for (size_t i = 0; i < params.size(); ++i) {
    check_device(params[i], "params");
    check_same_device(params[0], "params", params[i], "params");
    scalars.push_back(scalar_of(params[i], "params"));
    for (const Companion& companion : companions) {
      check_same_device(params[i], "params", companion.tensors[i], companion.name);
      check_same_scalar(params[i], "params", companion.tensors[i], companion.name);
      check_same_shape(params[i], "params", companion.tensors[i], companion.name);
    }
  }

  const bool draws = parsed.rounding == Rounding::Stochastic;
  struct CopyBack {
    Tensor to, from;
  };
  std::vector<CopyBack> copies;
  std::vector<Tensor> gradients;
  for (const Scalar scalar :
       {Scalar::Float32, Scalar::Float64, Scalar::BFloat16, Scalar::Float16}) {
    cpu::AdamCall call = adam_call(scalar, parsed);
    call.scalars = {lr,  beta1,        beta2,     beta1_power, beta2_power,
                    eps, weight_decay, decoupled, maximize,    amsgrad};
    call.draw =
        draw_from(draw, parsed.stochastic, kPassAdam, 0, params.empty() ? nullptr : params.data());
    for (size_t i = 0; i < params.size(); ++i) {
      if (scalars[i] != scalar) continue;
      bool alike = lies_well(params[i], draws);
      for (const Companion& companion : companions) {
        alike = alike && same_strides(params[i], companion.tensors[i]);
      }
      const auto state = [&](const Tensor& tensor) {
        if (alike) return tensor.mutable_data_ptr();
        copies.push_back({tensor, row_major_copy(tensor)});
        return copies.back().from.mutable_data_ptr();
      };
      cpu::AdamTensor tensor{params[i].numel(), static_cast<uint32_t>(i)};
      if (!alike) gradients.push_back(row_major_copy(grads[i]));
      tensor.gradient = (alike ? grads[i] : gradients.back()).const_data_ptr();
      tensor.parameter = state(params[i]);
      tensor.average = state(exp_avgs[i]);
      tensor.square = state(exp_avg_sqs[i]);
      if (amsgrad) tensor.most = state(max_exp_avg_sqs[i]);
      call.tensors.push_back(tensor);
    }
    if (!call.tensors.empty()) run(call, params[0]);
  }
  for (CopyBack& copy : copies) torch::stable::copy_(copy.to, copy.from);
}

bool adam_has_kernel(std::string dtype, std::string arithmetic) {
  return cpu::fast_adam_covers(adam_call(scalar_named(dtype), adam_arithmetic(arithmetic)));
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fpdet, CPU, m) { m.impl("adam_", TORCH_BOX(&adam_)); }
#if defined(FPDET_HAS_CUDA)
STABLE_TORCH_LIBRARY_IMPL(fpdet, CUDA, m) { m.impl("adam_", TORCH_BOX(&adam_)); }
#endif

STABLE_TORCH_LIBRARY_IMPL(fpdet, CompositeExplicitAutograd, m) {
  m.impl("adam_has_kernel", TORCH_BOX(&adam_has_kernel));
}

}  // namespace fpdet::torch_ops
