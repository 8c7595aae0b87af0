// SPDX-License-Identifier: MIT
// Ordered sums of chosen lines of a matrix (core/gather_sum.h). All indices are checked before any
// of them is used.
#include "../cpu/gather_sum.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "../cuda/ops.h"
#include "elementwise.h"
#include "shape.h"

namespace fpdet::torch_ops {
namespace {

constexpr double kSlowSeconds = 30e-9, kFastSeconds = 2e-9;  // a term, roughly

/// A vector of int64, side by side in memory.
Tensor check_integers(const Tensor& t, const char* name, const Tensor& x) {
  check_same_device(x, "x", t, name);
  STD_TORCH_CHECK(t.scalar_type() == torch::headeronly::ScalarType::Long && t.dim() == 1,
                  "fpdet: ", name, ": expected an int64 tensor of one dimension, got dtype ",
                  torch::headeronly::toString(t.scalar_type()), ", shape ", text_of(sizes_of(t)));
  return t.is_contiguous() ? t : row_major_copy(t);
}

/// The numbers of such a vector, in the memory of the CPU. Of a GPU's this waits until it is done.
class Numbers {
 public:
  explicit Numbers(const Tensor& t) : tensor_(t.is_cpu() ? t : copied(t)) {}

  int64_t operator[](int64_t i) const {
    return static_cast<const int64_t*>(tensor_.const_data_ptr())[i];
  }

 private:
  static Tensor copied(const Tensor& t) {
    Tensor copy = torch::stable::empty({t.numel()}, t.scalar_type(), std::nullopt,
                                       torch::stable::Device(torch::headeronly::DeviceType::CPU));
    torch::stable::copy_(copy, t);
    return copy;
  }

  Tensor tensor_;
};

/// Checks offsets and indices and returns how many terms all sums have.
int64_t check_numbers(const Tensor& offsets, const Tensor& indices, int64_t lines) {
  const int64_t sums = offsets.numel() - 1, count = indices.numel();
  STD_TORCH_CHECK(sums >= 0,
                  "fpdet: offsets: expected one number more than there are sums, got none");
  const Numbers bounds(offsets), chosen(indices);
  STD_TORCH_CHECK(bounds[0] >= 0 && bounds[sums] <= count,
                  "fpdet: offsets: expected numbers from 0 to ", count,
                  ", as many as there are indices; got ", bounds[0], " to ", bounds[sums]);
  for (int64_t i = 0; i < sums; ++i) {
    const int64_t terms = bounds[i + 1] - bounds[i];
    STD_TORCH_CHECK(terms >= 0, "fpdet: offsets: expected no number below the one before, got ",
                    bounds[i + 1], " after ", bounds[i], " at ", i + 1);
    check_terms(terms);
  }
  for (int64_t i = 0; i < count; ++i) {
    STD_TORCH_CHECK(chosen[i] >= 0 && chosen[i] < lines, "fpdet: indices: expected numbers in [0, ",
                    lines, "), got ", chosen[i], " at ", i);
  }
  return bounds[sums] - bounds[0];
}

void run(const cpu::GatherSumCall& call, [[maybe_unused]] const Tensor& result) {
#if defined(FPDET_HAS_CUDA)
  if (result.is_cuda()) {
    const Arithmetic& a = call.arithmetic;
    return on_gpu(
        result,
        [&] {
          return std::to_string(call.sums) + " sums of " + std::to_string(call.terms) +
                 " lines in all, for " + describe(result.numel(), a.rounding, a.format);
        },
        [&](const cuda::Surroundings& gpu) { cuda::gather_sum(call, gpu); });
  }
#endif
  const double work =
      static_cast<double>(call.terms + call.sums) * static_cast<double>(call.columns);
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
}

Tensor gather_sum(const Tensor& given_x, const Tensor& given_offsets, const Tensor& given_indices,
                  std::optional<Tensor> weights, std::string arithmetic, std::optional<Tensor> draw,
                  int64_t pass_tag, int64_t batch_offset) {
  check_device(given_x, "x");
  // Lanes are columns: they lie side by side, or are made to.
  const Tensor x = given_x.dim() == 2 && given_x.size(1) > 1 && given_x.stride(1) != 1
                       ? row_major_copy(given_x)
                       : given_x;
  cpu::GatherSumCall call;
  call.scalar = scalar_of(x, "x");
  STD_TORCH_CHECK(x.dim() == 2, "fpdet: x: expected a matrix, got shape ", text_of(sizes_of(x)));
  const Tensor offsets = check_integers(given_offsets, "offsets", x);
  const Tensor indices = check_integers(given_indices, "indices", x);
  call.offsets = static_cast<const int64_t*>(offsets.const_data_ptr());
  call.indices = static_cast<const int64_t*>(indices.const_data_ptr());
  call.terms = check_numbers(offsets, indices, x.size(0));
  call.sums = offsets.numel() - 1;
  if (weights.has_value()) {
    check_same_device(x, "x", *weights, "weights");
    check_same_scalar(x, "x", *weights, "weights");
    STD_TORCH_CHECK(sizes_of(*weights) == Sizes{indices.numel()},
                    "fpdet: weights: expected shape [", indices.numel(), "] as indices has, got ",
                    text_of(sizes_of(*weights)));
    call.weights = weights->const_data_ptr();
    call.weight_step = weights->stride(0);
  }
  const ParsedArithmetic& parsed = forward_arithmetic_from(arithmetic);
  call.order = parsed.order;
  call.arithmetic = parsed.resolve(call.scalar == Scalar::Float64);
  call.draw = draw_from(draw, parsed.stochastic, pass_tag, batch_offset, &x);
  call.columns = x.size(1);
  call.x = x.const_data_ptr();
  call.x_line = x.stride(0);
  const Tensor result = torch::stable::new_empty(x, Sizes{call.sums, call.columns});
  call.out = result.mutable_data_ptr();
  if (result.numel() > 0) run(call, result);
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fpdet, CPU, m) { m.impl("gather_sum", TORCH_BOX(&gather_sum)); }
#if defined(FPDET_HAS_CUDA)
STABLE_TORCH_LIBRARY_IMPL(fpdet, CUDA, m) { m.impl("gather_sum", TORCH_BOX(&gather_sum)); }
#endif

}  // namespace fpdet::torch_ops
