// SPDX-License-Identifier: MIT
// Sums over dimensions, of a tensor or of the products of two (core/sum.h). Dimensions that follow
// on from each other are joined; where more are left than a contraction has digits, the operand is
// copied, kept dimensions first.
#include "../core/sum.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "contraction.h"

namespace fpdet::torch_ops {
namespace {

/// Which dimensions are summed over; none named: all, as torch has it.
std::vector<bool> reduced_of(const Sizes& dims, int64_t dim) {
  const int64_t least = dim == 0 ? 1 : dim;  // torch counts a number as of one dimension
  std::vector<bool> reduced(static_cast<size_t>(dim), dims.empty());
  for (const int64_t given : dims) {
    STD_TORCH_CHECK(given >= -least && given < least, "fpdet: dims: expected numbers in [", -least,
                    ", ", least - 1, "], got ", given);
    if (dim == 0) continue;
    const auto d = static_cast<size_t>(given < 0 ? given + dim : given);
    STD_TORCH_CHECK(!reduced[d], "fpdet: dims: expected each dimension once, got ", text_of(dims));
    reduced[d] = true;
  }
  return reduced;
}

template <size_t N>
struct Plan {
  Dimension<N> sample{1, {}};  ///< the result's first dimension, where it is kept
  std::vector<Dimension<N>> kept, reduced;
};

template <size_t N>
Plan<N> plan_of(const Sizes& shape, const std::vector<bool>& reduced, bool keepdim,
                const Sizes (&strides)[N]) {
  Plan<N> plan;
  bool first = true;
  for (size_t d = 0; d < shape.size(); ++d) {
    Dimension<N> dimension{shape[d], {}};
    for (size_t i = 0; i < N; ++i) dimension.stride[i] = strides[i][d];
    if (reduced[d]) {
      append(plan.reduced, dimension);
    } else if (first) {
      plan.sample = dimension;
    } else {
      append(plan.kept, dimension);
    }
    first &= reduced[d] && !keepdim;
  }
  return plan;
}

/// A copy of the whole shape with the kept dimensions first, and its strides along the shape.
Tensor kept_first(const Tensor& t, const Sizes& shape, const std::vector<bool>& reduced,
                  Sizes& strides) {
  const Tensor copy = torch::stable::new_empty(t, shape);
  int64_t next = 1;
  for (const bool wanted : {true, false}) {
    for (size_t d = shape.size(); d-- > 0;) {
      if (reduced[d] != wanted) continue;
      strides[d] = next;
      next *= shape[d];
    }
  }
  Tensor view = torch::stable::from_blob(copy.mutable_data_ptr(), shape, strides, copy.device(),
                                         copy.scalar_type());
  torch::stable::copy_(view, t);
  return copy;
}

/// Dimensions as the last digits of a number.
template <size_t N>
void fill(const std::vector<Dimension<N>>& dimensions, Digits& digits, Weights* (&weights)[N]) {
  size_t digit = kDigits - dimensions.size();
  for (const auto& dimension : dimensions) {
    digits.d[digit] = dimension.size;
    for (size_t i = 0; i < N; ++i) weights[i]->w[digit] = dimension.stride[i];
    ++digit;
  }
}

template <size_t N>
bool is_constant(const Plan<N>& plan, size_t operand) {
  bool constant = plan.sample.size == 1 || plan.sample.stride[operand] == 0;
  for (const auto& dimension : plan.kept) constant &= dimension.stride[operand] == 0;
  return constant;
}

/// A sum whose terms are x, or x times a factor that does not vary with the output.
template <size_t N>
Contraction sum_of(const Plan<N>& plan, size_t varying) {
  SumShape s;
  Weights factor, unused[N];
  Weights* kept[N];
  Weights* reduced[N];
  for (size_t i = 0; i < N; ++i) {
    kept[i] = i == varying ? &s.x.kept : &unused[i];
    reduced[i] = i == varying ? &s.x.reduced : &factor;
  }
  fill(plan.kept, s.kept, kept);
  s.kept.d[0] = plan.sample.size;
  s.x.kept.w[0] = plan.sample.stride[varying];
  fill(plan.reduced, s.reduced, reduced);
  if (N == 2) s.factor = &factor;
  s.factor_is_first = varying == 1;
  return sum_contraction(s);
}

/// Products whose factors both vary with the output, outputs joined to one dimension except for
/// the outer ones, whose values are one contraction each. Samples are not counted.
constexpr int64_t kMostParts = 4096, kLeastOutputsOfPart = 16;

std::vector<Contraction> parts_of(const Plan<2>& plan) {
  std::vector<Dimension<2>> all;
  append(all, plan.sample);
  for (const auto& dimension : plan.kept) append(all, dimension);
  int64_t parts = 1;
  for (size_t d = 0; d + 1 < all.size(); ++d) parts *= all[d].size;
  if (parts > kMostParts || all.back().size < kLeastOutputsOfPart ||
      plan.reduced.size() > kDigits) {
    return {};
  }
  ProductSumShape s;
  s.outputs = all.back().size;
  s.a_step = all.back().stride[0];
  s.b_step = all.back().stride[1];
  Weights* weights[] = {&s.a, &s.b};
  fill(plan.reduced, s.reduced, weights);
  std::vector<Contraction> result;
  for (int64_t part = 0; part < parts; ++part) {
    Contraction c = product_sum_contraction(s);
    int64_t rest = part;
    for (size_t d = all.size() - 1; d-- > 0;) {
      c.left.origin.offset += rest % all[d].size * all[d].stride[0];
      c.right.origin.offset += rest % all[d].size * all[d].stride[1];
      rest /= all[d].size;
    }
    c.out.base = part * s.outputs;
    result.push_back(c);
  }
  return result;
}

/// All kept dimensions as one, if they can be that.
std::optional<Dimension<2>> joined(const Plan<2>& plan) {
  std::vector<Dimension<2>> all;
  append(all, plan.sample);
  for (const auto& dimension : plan.kept) append(all, dimension);
  if (all.empty()) return Dimension<2>{1, {0, 0}};
  if (all.size() == 1) return all[0];
  return std::nullopt;
}

bool fits(size_t kept, size_t reduced) { return kept < kDigits && reduced <= kDigits; }

Tensor sum(const Tensor& given_a, std::optional<Tensor> given_b, Sizes dims, bool keepdim,
           std::string arithmetic, std::optional<Tensor> draw, int64_t pass_tag,
           int64_t batch_offset) {
  check_device(given_a, "a");
  const Scalar scalar = scalar_of(given_a, "a");
  Sizes shape = sizes_of(given_a);
  if (given_b.has_value()) {
    check_same_device(given_a, "a", *given_b, "b");
    check_same_scalar(given_a, "a", *given_b, "b");
    shape = broadcast_sizes(shape, "a", sizes_of(*given_b), "b");
  }
  const std::vector<bool> reduced = reduced_of(dims, static_cast<int64_t>(shape.size()));
  Sizes result_sizes;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (!reduced[d] || keepdim) result_sizes.push_back(reduced[d] ? 1 : shape[d]);
  }
  const ParsedArithmetic& parsed = forward_arithmetic_from(arithmetic);
  const Tensor result = torch::stable::new_empty(given_a, result_sizes);
  if (result.numel() == 0) return result;

  Tensor a = given_a, b = given_b.value_or(given_a);
  Sizes a_strides = broadcast_strides(a, shape), b_strides = broadcast_strides(b, shape);
  Contraction problem;
  std::vector<Contraction> rest;
  const void* left = one_of(scalar);
  const void* right = nullptr;
  if (!given_b.has_value()) {
    auto plan = plan_of<1>(shape, reduced, keepdim, {a_strides});
    if (!fits(plan.kept.size(), plan.reduced.size())) {
      a = kept_first(a, shape, reduced, a_strides);
      plan = plan_of<1>(shape, reduced, keepdim, {a_strides});
    }
    problem = sum_of(plan, 0);
    right = a.const_data_ptr();
  } else {
    auto plan = plan_of<2>(shape, reduced, keepdim, {a_strides, b_strides});
    const size_t varying = is_constant(plan, 0) ? 1 : 0;
    const bool varies_alone = is_constant(plan, 1 - varying);
    const bool numbered = parsed.rounding == Rounding::Stochastic || parsed.order.permuted();
    // Not on a GPU, where each part is a launch.
    const bool in_parts = a.is_cpu() && !varies_alone && !numbered && !joined(plan).has_value();
    if (in_parts) rest = parts_of(plan);
    if (!rest.empty()) {
      // The operands as they are.
    } else if (varies_alone ? !fits(plan.kept.size(), plan.reduced.size())
                            : !joined(plan).has_value() || plan.reduced.size() > kDigits) {
      a = kept_first(a, shape, reduced, a_strides);
      b = kept_first(b, shape, reduced, b_strides);
      plan = plan_of<2>(shape, reduced, keepdim, {a_strides, b_strides});
    }
    if (!rest.empty()) {
      problem = rest[0];
      rest.erase(rest.begin());
      left = a.const_data_ptr();
      right = b.const_data_ptr();
    } else if (varies_alone && is_constant(plan, 1 - varying)) {
      problem = sum_of(plan, varying);
      left = (varying == 0 ? b : a).const_data_ptr();
      right = (varying == 0 ? a : b).const_data_ptr();
    } else {
      const Dimension<2> outputs = *joined(plan);
      ProductSumShape s;
      s.outputs = outputs.size;
      s.samples = plan.sample.size;
      s.a_step = outputs.stride[0];
      s.b_step = outputs.stride[1];
      Weights* weights[] = {&s.a, &s.b};
      fill(plan.reduced, s.reduced, weights);
      problem = product_sum_contraction(s);
      left = a.const_data_ptr();
      right = b.const_data_ptr();
    }
  }
  auto call = call_for(problem, parsed, draw, pass_tag, batch_offset, scalar, &a);
  call.rest = std::move(rest);
  call.left = left;
  call.right = right;
  call.out = result.mutable_data_ptr();
  run(call, result);
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fpdet, CPU, m) { m.impl("sum", TORCH_BOX(&sum)); }
#if defined(FPDET_HAS_CUDA)
STABLE_TORCH_LIBRARY_IMPL(fpdet, CUDA, m) { m.impl("sum", TORCH_BOX(&sum)); }
#endif

}  // namespace fpdet::torch_ops
