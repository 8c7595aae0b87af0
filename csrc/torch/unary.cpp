// SPDX-License-Identifier: MIT
// The elementary functions of one argument. Elements are numbered row-major whatever the strides
// are.
#include "../cpu/unary.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <atomic>

#include "check.h"
#include "layout.h"
#include "parallel.h"

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
      cpu::unary_covers(call.function, scalar, call.arithmetic.format), "fpdet: ", function,
      ": expected float32, bfloat16 or float16 and an accumulator inside ", "float32, got ",
      to_string(format_of(scalar)), " and ", to_string(call.arithmetic.format));
  return call;
}

/// f(x) rounded in the accumulator's format (event 0), then to the result's (event 1).
Tensor unary(const Tensor& x, std::string function, std::string arithmetic,
             std::optional<Tensor> draw, int64_t pass_tag, int64_t batch_offset) {
  check_cpu(x, "x");
  cpu::UnaryCall call = unary_call(function, scalar_of(x, "x"), arithmetic);
  call.draw = draw_from(draw, call.arithmetic.stochastic, pass_tag, batch_offset);
  const Tensor result = large_empty_like(x);
  const int64_t samples = x.dim() > 0 ? x.size(0) : 1;
  call.count = x.numel();
  call.per_sample = samples > 0 ? std::max<int64_t>(1, call.count / samples) : 1;
  const auto run = [&](const Tensor& from, Tensor to) {
    call.x = from.const_data_ptr();
    call.out = to.mutable_data_ptr();
    const cpu::ParallelFor loop = [](int64_t count, int64_t grain, const auto& body) {
      interruptible_parallel_for(kSecondsPerElement, count, grain, body);
    };
    kernels_in_use ? cpu::unary(call, loop) : cpu::slow_unary(call, loop);
  };
  if (lies_well(result, call.arithmetic.rounding == Rounding::Stochastic) &&
      same_strides(x, result)) {
    run(x, result);
    return result;
  }
  const Tensor copy = row_major_copy(x);
  run(copy, copy);  // element by element: in place
  Tensor to = result;
  torch::stable::copy_(to, copy);
  return result;
}

bool unary_covers(std::string function, std::string dtype, std::string arithmetic) {
  const Scalar scalar = scalar_named(dtype);
  const ParsedArithmetic& parsed = arithmetic_from(arithmetic);
  const Format format =
      parsed.order.exact() ? format_of(scalar) : parsed.resolve(scalar == Scalar::Float64).format;
  return cpu::unary_covers(function_named(function), scalar, format);
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

STABLE_TORCH_LIBRARY_IMPL(fpdet, CompositeExplicitAutograd, m) {
  m.impl("use_function_kernels", TORCH_BOX(&use_function_kernels));
  m.impl("unary_covers", TORCH_BOX(&unary_covers));
  m.impl("unary_functions", TORCH_BOX(&unary_functions));
}

}  // namespace fpdet::torch_ops
