// SPDX-License-Identifier: MIT
// The elementary functions of one argument. Elements are numbered row-major whatever the strides
// are.
#include "../cpu/unary.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <atomic>

#include "../cuda/ops.h"
#include "elementwise.h"

namespace fpdet::torch_ops {
namespace {

constexpr double kSecondsPerElement = 1e-6;

/// Test knob: without kernels everything takes the definition.
std::atomic<bool> kernels_in_use{true};

void use_function_kernels(bool value) { kernels_in_use = value; }

Function function_named(const std::string& word) {
  std::string known;
#define FPDET_ROW(enumerator, name, stem, code)  \
  if (word == name) return Function::enumerator; \
  known += known.empty() ? name : std::string(", ") + name;
  FPDET_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
  STD_TORCH_CHECK(false, "fpdet: function: expected one of ", known, "; got '", word, "'");
}

cpu::UnaryCall unary_call(const std::string& function, Scalar scalar, const std::string& words) {
  const ParsedArithmetic& parsed = arithmetic_from(words);
  cpu::UnaryCall call;
  call.function = function_named(function);
  call.scalar = scalar;
  call.arithmetic = parsed.resolve(scalar == Scalar::Float64);
  if (parsed.order.exact()) call.arithmetic.format = format_of(scalar);  // straight to the result's
  STD_TORCH_CHECK(
      fpdet::unary_covers(call.function, scalar, call.arithmetic.format), "fpdet: ", function,
      ": expected float32, bfloat16 or float16 and an accumulator inside ", "float32, got ",
      to_string(format_of(scalar)), " and ", to_string(call.arithmetic.format));
  return call;
}

// `where` the call's elements lie.
void run(const cpu::UnaryCall& call, [[maybe_unused]] const Tensor& where) {
#if defined(FPDET_HAS_CUDA)
  if (where.is_cuda()) {
    const Arithmetic& a = call.arithmetic;
    return on_gpu(
        where, [&] { return describe(call.count, a.rounding, a.format); },
        [&](const cuda::Surroundings& gpu) { cuda::unary(call, gpu); });
  }
#endif
  const cpu::ParallelFor loop = interruptible(kSecondsPerElement);
  kernels_in_use ? cpu::unary(call, loop) : cpu::slow_unary(call, loop);
}

/// f(x) rounded in the accumulator's format (event 0), then to the result's (event 1).
Tensor unary(const Tensor& x, std::string function, std::string arithmetic,
             std::optional<Tensor> draw, int64_t pass_tag, int64_t batch_offset) {
  check_device(x, "x");
  cpu::UnaryCall call = unary_call(function, scalar_of(x, "x"), arithmetic);
  call.draw = draw_from(draw, call.arithmetic.stochastic, pass_tag, batch_offset, &x);
  const Tensor result = large_empty_like(x);
  run_into(result, x, call, call.arithmetic.rounding == Rounding::Stochastic,
           [&](const cpu::UnaryCall& ready) { run(ready, x); });
  return result;
}

bool unary_covers(std::string function, std::string dtype, std::string arithmetic) {
  const Scalar scalar = scalar_named(dtype);
  const ParsedArithmetic& parsed = arithmetic_from(arithmetic);
  const Format format =
      parsed.order.exact() ? format_of(scalar) : parsed.resolve(scalar == Scalar::Float64).format;
  return fpdet::unary_covers(function_named(function), scalar, format);
}

std::vector<std::string> unary_functions() {
  std::vector<std::string> words;
#define FPDET_ROW(enumerator, name, stem, code) words.emplace_back(name);
  FPDET_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
  return words;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fpdet, CPU, m) { m.impl("unary", TORCH_BOX(&unary)); }
#if defined(FPDET_HAS_CUDA)
STABLE_TORCH_LIBRARY_IMPL(fpdet, CUDA, m) { m.impl("unary", TORCH_BOX(&unary)); }
#endif

STABLE_TORCH_LIBRARY_IMPL(fpdet, CompositeExplicitAutograd, m) {
  m.impl("use_function_kernels", TORCH_BOX(&use_function_kernels));
  m.impl("unary_covers", TORCH_BOX(&unary_covers));
  m.impl("unary_functions", TORCH_BOX(&unary_functions));
}

}  // namespace fpdet::torch_ops
