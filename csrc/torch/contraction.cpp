// SPDX-License-Identifier: MIT
#include "contraction.h"

#include "../cuda/ops.h"

namespace fpdet::torch_ops {
namespace {

/// Rough cost of one term on one thread, to keep long calls interruptible.
constexpr double kSlowSeconds = 30e-9;
double fast_seconds(const cpu::ContractionCall& call) {
  return is_hardware(call.arithmetic.rounding) && !call.order.exact() ? 50e-12 : 2e-9;
}

/// The call in words, for a GPU's errors.
[[maybe_unused]] std::string describe(const ContractionCall& call) {
  const Contraction& c = call.problem;
  ParsedArithmetic words{call.arithmetic.rounding,  call.order, false,
                         call.arithmetic.format,    "",         call.arithmetic.fused,
                         call.arithmetic.stochastic};
  return std::to_string(c.groups) + " groups of " + std::to_string(c.rows.product()) + " x " +
         std::to_string(c.cols.product()) + " outputs, each a sum of " +
         std::to_string(c.terms.product()) + " terms, under '" + to_string(words) + "'";
}

}  // namespace

cpu::ContractionCall call_for(const Contraction& problem, const ParsedArithmetic& arithmetic,
                              const std::optional<Tensor>& draw, int64_t pass_tag,
                              int64_t batch_offset, Scalar scalar, const Tensor* like) {
  cpu::ContractionCall call;
  call.problem = problem;
  call.order = arithmetic.order;
  call.arithmetic = arithmetic.resolve(scalar == Scalar::Float64);
  call.draw = draw_from(draw, arithmetic.stochastic, pass_tag, batch_offset, like);
  call.scalar = scalar;
  return call;
}

void run(const cpu::ContractionCall& call, [[maybe_unused]] const Tensor& result) {
  double work = 0;
  const auto count_terms = [&](const Contraction& c) {
    check_terms(c.terms.product());
    work += static_cast<double>(c.outputs()) * static_cast<double>(c.terms.product() + 1);
  };
  count_terms(call.problem);
  for (const Contraction& c : call.rest) count_terms(c);
#if defined(FPDET_HAS_CUDA)
  if (result.is_cuda()) {
    return on_gpu(
        result, [&] { return describe(call); },
        [&](const cuda::Surroundings& gpu) { cuda::contraction(call, gpu); });
  }
#endif
  if (call.problem.outputs() == 0) return;
  const auto loop = [&](double seconds_per_term) {
    return [seconds = work * seconds_per_term](int64_t count, int64_t grain, const auto& body) {
      interruptible_parallel_for(seconds / static_cast<double>(count + 1), count, grain, body);
    };
  };
  if (cpu::fast_contraction(call, loop(fast_seconds(call)))) return;
  cpu::slow_contraction(call, loop(kSlowSeconds));
}

const void* one_of(Scalar scalar) {
  static const double one64 = 1.0;
  static const float one32 = 1.0f;
  static const uint16_t one_bfloat16 = double_to_bfloat16(1.0);
  static const uint16_t one_float16 = double_to_float16(1.0);
  const void* const ones[] = {&one64, &one32, &one_bfloat16, &one_float16};
  return ones[static_cast<int>(scalar)];
}

}  // namespace fpdet::torch_ops
