// SPDX-License-Identifier: MIT
// add, sub, mul and div of two tensors or a tensor and a number, with torch's broadcasting. The
// dimensions become rows whose elements lie side by side in the result, and in each operand side by
// side or all in one place.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <atomic>

#include "../cpu/elementwise.h"
#include "../cuda/ops.h"
#include "elementwise.h"
#include "layout.h"
#include "shape.h"

namespace fpdet::torch_ops {
namespace {

std::atomic<bool> kernels_in_use{true};

void use_elementwise_kernels(bool value) { kernels_in_use = value; }

/// Rows shorter than this cost more than a copy of the operand that breaks them.
constexpr int64_t kShortRow = 16;

// `where` the call's elements lie.
void run(const cpu::BinaryCall& call, [[maybe_unused]] const Tensor& where) {
  if (call.count == 0) return;
#if defined(FPDET_HAS_CUDA)
  if (where.is_cuda()) {
    const Arithmetic& a = call.arithmetic;
    return on_gpu(
        where, [&] { return describe(call.count, a.rounding, a.format); },
        [&](const cuda::Surroundings& gpu) { cuda::binary(call, gpu); });
  }
#endif
  if (elementwise_kernels_in_use() && cpu::fast_binary_covers(call)) {
    cpu::fast_binary(call, interruptible(kFastSecondsPerElement));
  } else {
    cpu::slow_binary(call, interruptible(kSlowSecondsPerElement));
  }
}

BinaryOperation operation_from(const std::string& word) {
  for (const BinaryOperation operation : {BinaryOperation::Add, BinaryOperation::Subtract,
                                          BinaryOperation::Multiply, BinaryOperation::Divide}) {
    if (word == kBinaryWords[static_cast<int>(operation)]) return operation;
  }
  STD_TORCH_CHECK(false, "fpdet: operation: expected add, sub, mul or div, got '", word, "'");
}

cpu::BinaryCall call_for(Scalar scalar, BinaryOperation operation,
                         const ParsedArithmetic& arithmetic) {
  cpu::BinaryCall call;
  call.scalar = scalar;
  call.operation = operation;
  call.arithmetic = arithmetic.resolve(scalar == Scalar::Float64);
  if (arithmetic.order.exact()) call.arithmetic.format = format_of(scalar);  // one rounding
  return call;
}

/// The result's dimensions, those that are far apart in memory first unless elements are numbered:
/// strides of the result, a and b.
std::vector<Dimension<3>> dimensions_of(const Sizes& shape, const Tensor& result, const Tensor* a,
                                        const Tensor* b, bool numbered) {
  const Sizes none(shape.size(), 0);
  const Sizes a_strides = a != nullptr ? broadcast_strides(*a, shape) : none;
  const Sizes b_strides = b != nullptr ? broadcast_strides(*b, shape) : none;
  std::vector<Dimension<3>> all;
  for (size_t d = 0; d < shape.size(); ++d) {
    all.push_back({shape[d], {result.stride(static_cast<int64_t>(d)), a_strides[d], b_strides[d]}});
  }
  if (!numbered) {
    std::stable_sort(all.begin(), all.end(),
                     [](const auto& x, const auto& y) { return x.stride[0] > y.stride[0]; });
  }
  std::vector<Dimension<3>> joined;
  for (const auto& dimension : all) append(joined, dimension);
  if (joined.empty()) joined.push_back({1, {1, 1, 1}});
  return joined;
}

/// A copy that lies as `like` does, as large as that.
Tensor expanded(const Tensor& t, const Tensor& like) {
  Tensor copy = torch::stable::empty_like(like);
  torch::stable::copy_(copy, t);
  return copy;
}

/// `a` or `b` null: the call's number.
Tensor run_binary(cpu::BinaryCall& call, const Sizes& shape, const Tensor* a, const Tensor* b) {
  const auto has_shape = [&](const Tensor* t) { return t != nullptr && sizes_of(*t) == shape; };
  Tensor result = has_shape(a)   ? large_empty_like(*a)
                  : has_shape(b) ? large_empty_like(*b)
                                 : torch::stable::new_empty(a != nullptr ? *a : *b, shape);
  const bool numbered = call.arithmetic.rounding == Rounding::Stochastic;
  const bool in_place = lies_well(result, numbered);
  const Tensor target = in_place ? result : torch::stable::new_empty(result, shape);
  count_elements(target, call);
  if (call.count == 0) return result;

  auto dimensions = dimensions_of(shape, target, a, b, numbered);
  // Rows must be walked in steps of 0 or 1, be long unless there is but one, and have numbers of a
  // few digits.
  const auto breaks_rows = [&](size_t operand) {
    if (dimensions.size() > kRowDigits + 1) return true;
    const int64_t step = dimensions.back().stride[operand];
    if (step != 0 && step != 1) return true;
    if (dimensions.size() == 1 || dimensions.back().size >= kShortRow) return false;
    bool alike = true, constant = true;
    for (const auto& dimension : dimensions) {
      alike &= dimension.stride[operand] == dimension.stride[0];
      constant &= dimension.stride[operand] == 0;
    }
    return !alike && !constant;
  };
  std::vector<Tensor> copies;
  copies.reserve(2);
  const auto straighten = [&](const Tensor*& operand, size_t place) {
    if (operand == nullptr || !breaks_rows(place)) return;
    copies.push_back(expanded(*operand, target));
    operand = &copies.back();
  };
  straighten(a, 1);
  straighten(b, 2);
  if (!copies.empty()) dimensions = dimensions_of(shape, target, a, b, numbered);

  call.columns = dimensions.back().size;
  call.a.column = dimensions.back().stride[1];
  call.b.column = dimensions.back().stride[2];
  dimensions.pop_back();
  for (const auto& dimension : dimensions) {
    call.rows[call.digits] = dimension.size;
    call.a.strides[call.digits] = dimension.stride[1];
    call.b.strides[call.digits] = dimension.stride[2];
    ++call.digits;
  }
  if (a != nullptr) call.a.data = a->const_data_ptr();
  if (b != nullptr) call.b.data = b->const_data_ptr();
  call.out = target.mutable_data_ptr();
  run(call, target);
  if (!in_place) torch::stable::copy_(result, target);
  return result;
}

Tensor binary(const Tensor& a, const Tensor& b, std::string operation, std::string arithmetic,
              std::optional<Tensor> draw, int64_t pass_tag, int64_t batch_offset) {
  check_device(a, "a");
  check_same_device(a, "a", b, "b");
  check_same_scalar(a, "a", b, "b");
  const Sizes shape = broadcast_sizes(sizes_of(a), "a", sizes_of(b), "b");
  const ParsedArithmetic& parsed = forward_arithmetic_from(arithmetic);
  cpu::BinaryCall call = call_for(scalar_of(a, "a"), operation_from(operation), parsed);
  call.draw = draw_from(draw, parsed.stochastic, pass_tag, batch_offset, &a);
  return run_binary(call, shape, &a, &b);
}

/// The number is rounded once, to nearest even, into the accumulator's format, or under exact,
/// which has none, into the format that auto means.
Tensor binary_scalar(const Tensor& a, double b, bool scalar_first, std::string operation,
                     std::string arithmetic, std::optional<Tensor> draw, int64_t pass_tag,
                     int64_t batch_offset) {
  check_device(a, "a");
  const ParsedArithmetic& parsed = forward_arithmetic_from(arithmetic);
  cpu::BinaryCall call = call_for(scalar_of(a, "a"), operation_from(operation), parsed);
  call.draw = draw_from(draw, parsed.stochastic, pass_tag, batch_offset, &a);
  const Format format = parsed.resolve(call.scalar == Scalar::Float64).format;
  (scalar_first ? call.a : call.b).number = soft_round(b, format, Rounding::NearestEven);
  return run_binary(call, sizes_of(a), scalar_first ? nullptr : &a, scalar_first ? &a : nullptr);
}

/// binary's addition of equal shapes.
Tensor add(const Tensor& a, const Tensor& b, std::string arithmetic, std::optional<Tensor> draw,
           int64_t pass_tag) {
  check_device(a, "a");
  check_same_device(a, "a", b, "b");
  check_same_scalar(a, "a", b, "b");
  check_same_shape(a, "a", b, "b");
  return binary(a, b, "add", std::move(arithmetic), std::move(draw), pass_tag, 0);
}

bool binary_has_kernel(std::string dtype, std::string operation, std::string arithmetic) {
  return cpu::fast_binary_covers(
      call_for(scalar_named(dtype), operation_from(operation), arithmetic_from(arithmetic)));
}

}  // namespace

bool elementwise_kernels_in_use() { return kernels_in_use; }

STABLE_TORCH_LIBRARY_IMPL(fpdet, CPU, m) {
  m.impl("add", TORCH_BOX(&add));
  m.impl("binary", TORCH_BOX(&binary));
  m.impl("binary_scalar", TORCH_BOX(&binary_scalar));
}
#if defined(FPDET_HAS_CUDA)
STABLE_TORCH_LIBRARY_IMPL(fpdet, CUDA, m) {
  m.impl("add", TORCH_BOX(&add));
  m.impl("binary", TORCH_BOX(&binary));
  m.impl("binary_scalar", TORCH_BOX(&binary_scalar));
}
#endif

STABLE_TORCH_LIBRARY_IMPL(fpdet, CompositeExplicitAutograd, m) {
  m.impl("use_elementwise_kernels", TORCH_BOX(&use_elementwise_kernels));
  m.impl("binary_has_kernel", TORCH_BOX(&binary_has_kernel));
}

}  // namespace fpdet::torch_ops
