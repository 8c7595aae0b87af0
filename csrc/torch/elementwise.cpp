// SPDX-License-Identifier: MIT
// Ops without a reduction: one rounded addition, rounding to a format, and the SGD step. Elements
// are numbered row-major whatever the strides are.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "../core/environment.h"
#include "../core/sgd.h"
#include "check.h"
#include "parallel.h"

namespace fpdet::torch_ops {
namespace {

constexpr int64_t kGrain = 16384;
constexpr double kSecondsPerElement = 100e-9;

/// Offset in memory of element i, counted row-major.
class Indexer {
 public:
  explicit Indexer(const Tensor& t) : contiguous_(t.is_contiguous()) {
    for (int64_t d = 0; d < t.dim(); ++d) {
      sizes_.push_back(t.size(d));
      strides_.push_back(t.stride(d));
    }
  }
  int64_t operator()(int64_t i) const {
    if (contiguous_) return i;
    int64_t offset = 0;
    for (size_t d = sizes_.size(); d-- > 0;) {
      offset += i % sizes_[d] * strides_[d];
      i /= sizes_[d];
    }
    return offset;
  }

 private:
  bool contiguous_;
  std::vector<int64_t> sizes_, strides_;
};

void check_same_shape(const Tensor& a, const char* a_name, const Tensor& b, const char* b_name) {
  bool same = a.dim() == b.dim();
  for (int64_t d = 0; same && d < a.dim(); ++d) same = a.size(d) == b.size(d);
  STD_TORCH_CHECK(same, "fpdet: ", b_name, ": expected the shape of ", a_name, " (", a.dim(),
                  " dimensions, ", a.numel(), " elements), got ", b.dim(), " dimensions, ",
                  b.numel(), " elements");
}

/// result[i] = f(inputs' elements i as doubles, random bits of element i), a member of the result's
/// format. Element i stands in sample i / (elements per sample) of the first dimension.
template <size_t Inputs, class F>
Tensor map_elements(const Tensor* const (&inputs)[Inputs], Rounding rounding,
                    const StochasticSpec& spec, const cpu::Draw& from, const F& f) {
  const Tensor& first = *inputs[0];
  const int64_t samples = first.dim() > 0 ? first.size(0) : 1;
  const int64_t per_sample = samples > 0 ? std::max<int64_t>(1, first.numel() / samples) : 1;
  const Tensor result = torch::stable::empty_like(first);
  std::vector<Indexer> at;
  for (const Tensor* input : inputs) at.emplace_back(*input);
  const Indexer at_result(result);
  with_scalar(scalar_of(first, "input"), [&](auto element) {
    using T = decltype(element);
    auto* out = static_cast<T*>(result.mutable_data_ptr());
    interruptible_parallel_for(
        kSecondsPerElement, first.numel(), kGrain, [&](int64_t begin, int64_t end) {
          const EnvironmentGuard guard(rounding);
          for (int64_t i = begin; i < end; ++i) {
            RandomBits random;
            if (rounding == Rounding::Stochastic) {
              const auto sample = static_cast<uint32_t>(from.batch_offset + i / per_sample);
              random = RandomBits(spec, element_key(from.seed, from.counter, from.pass, sample,
                                                    static_cast<uint64_t>(i % per_sample)));
            }
            double x[Inputs];
            for (size_t j = 0; j < Inputs; ++j) {
              x[j] = widen(static_cast<const T*>(inputs[j]->const_data_ptr())[at[j](i)]);
            }
            store(f(x, kFormatOf<T>, random), out[at_result(i)]);
          }
        });
  });
  return result;
}

/// a + b rounded in the accumulator's format (event 0), then to the result's (event 1).
Tensor add(const Tensor& a, const Tensor& b, std::string arithmetic, std::optional<Tensor> draw,
           int64_t pass_tag) {
  check_cpu(a, "a");
  check_cpu(b, "b");
  check_same_scalar(a, "a", b, "b");
  check_same_shape(a, "a", b, "b");
  const Scalar scalar = scalar_of(a, "a");
  const ParsedArithmetic parsed = arithmetic_from(arithmetic);
  Arithmetic numbers = parsed.resolve(scalar == Scalar::Float64);
  if (parsed.order.exact()) {  // straight to the result's format
    numbers.format = with_scalar(scalar, [](auto element) { return kFormatOf<decltype(element)>; });
  }
  const Arith arith(numbers, scalar != Scalar::Float64 || numbers.format == kFloat64);
  return map_elements({&a, &b}, numbers.rounding, parsed.stochastic,
                      draw_from(draw, parsed.stochastic, pass_tag, 0),
                      [&](const double (&x)[2], const Format& format, RandomBits& random) {
                        return arith.round_to(arith.add(x[0], x[1], random, 0), format, random, 1);
                      });
}

/// x rounded to `format` (event 0), then to its own dtype (event 1): the second rounding does
/// nothing unless the format has numbers that the dtype lacks.
Tensor round(const Tensor& x, std::string format, std::string rounding, std::optional<Tensor> draw,
             int64_t batch_offset) {
  check_cpu(x, "x");
  scalar_of(x, "x");
  Format target;
  ParsedRounding parsed;
  try {
    target = parse_format(format);
    parsed = parse_rounding(rounding);
  } catch (const std::invalid_argument& error) {
    STD_TORCH_CHECK(false, error.what());
  }
  const Arith arith({parsed.rounding, target, true, parsed.stochastic}, false);
  return map_elements({&x}, parsed.rounding, parsed.stochastic,
                      draw_from(draw, parsed.stochastic, kPassRound, batch_offset),
                      [&](const double (&in)[1], const Format& own, RandomBits& random) {
                        const double member = arith.round_to(in[0], target, random, 0);
                        return arith.round_to(member, own, random, 1);
                      });
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
  const ParsedArithmetic parsed = arithmetic_from(arithmetic);
  STD_TORCH_CHECK(parsed.order.is_tree(), "fpdet: arithmetic: an SGD step has no sum: expected a ",
                  "tree order such as sequential, not exact, kahan or neumaier, got ", arithmetic);
  const SgdScalars scalars{lr,      momentum, dampening, weight_decay,
                           rescale, nesterov, maximize,  first_step};
  // All checks come before any work: a refused step leaves no parameter changed.
  for (size_t i = 0; i < params.size(); ++i) {
    check_cpu(params[i], "params");
    check_cpu(grads[i], "grads");
    check_same_scalar(params[i], "params", grads[i], "grads");
    check_same_shape(params[i], "params", grads[i], "grads");
    scalar_of(params[i], "params");
    if (momentum == 0) continue;
    check_cpu(buffers[i], "momentum_buffers");
    check_same_scalar(params[i], "params", buffers[i], "momentum_buffers");
    check_same_shape(params[i], "params", buffers[i], "momentum_buffers");
  }

  for (size_t tensor = 0; tensor < params.size(); ++tensor) {
    const Tensor& p = params[tensor];
    const Scalar scalar = scalar_of(p, "params");
    const Arithmetic numbers = parsed.resolve(scalar == Scalar::Float64);
    const SgdCoefficients coefficients = sgd_coefficients(scalars, numbers.format);
    const Arith arith(numbers, scalar != Scalar::Float64 || numbers.format == kFloat64);
    const cpu::Draw from = draw_from(draw, parsed.stochastic, kPassSgd, 0);
    const bool stochastic = numbers.rounding == Rounding::Stochastic;
    const Indexer at_p(p), at_g(grads[tensor]), at_b(momentum != 0 ? buffers[tensor] : p);
    with_scalar(scalar, [&](auto element) {
      using T = decltype(element);
      auto* parameter = static_cast<T*>(p.mutable_data_ptr());
      const auto* gradient = static_cast<const T*>(grads[tensor].const_data_ptr());
      auto* buffer = momentum != 0 ? static_cast<T*>(buffers[tensor].mutable_data_ptr()) : nullptr;
      parallel_for(p.numel(), kGrain, [&](int64_t begin, int64_t end) {
        const EnvironmentGuard guard(numbers.rounding);
        for (int64_t i = begin; i < end; ++i) {
          RandomBits random(parsed.stochastic, stochastic
                                                   ? element_key(from.seed, from.counter, from.pass,
                                                                 static_cast<uint32_t>(tensor),
                                                                 static_cast<uint64_t>(i))
                                                   : ElementKey{});
          T& stored = parameter[at_p(i)];
          const SgdResult step =
              sgd_element(coefficients, arith, widen(stored), widen(gradient[at_g(i)]),
                          buffer != nullptr ? widen(buffer[at_b(i)]) : 0.0, random);
          store(arith.round_to(step.parameter, kFormatOf<T>, random, kSgdParameterEvent), stored);
          if (buffer != nullptr) {
            store(arith.round_to(step.buffer, kFormatOf<T>, random, kSgdBufferEvent),
                  buffer[at_b(i)]);
          }
        }
      });
    });
  }
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fpdet, CPU, m) {
  m.impl("add", TORCH_BOX(&add));
  m.impl("round", TORCH_BOX(&round));
  m.impl("sgd_", TORCH_BOX(&sgd_));
}

}  // namespace fpdet::torch_ops
