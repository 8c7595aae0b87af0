// SPDX-License-Identifier: MIT
// Broadcasting, and tensors as lists of dimensions whose neighbours are joined where that changes
// nothing.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace fpdet::torch_ops {

using torch::stable::Tensor;
using Sizes = std::vector<int64_t>;

inline Sizes sizes_of(const Tensor& t) { return {t.sizes().begin(), t.sizes().end()}; }

inline std::string text_of(const Sizes& sizes) {
  std::string text = "[";
  for (size_t i = 0; i < sizes.size(); ++i) text += (i ? ", " : "") + std::to_string(sizes[i]);
  return text + "]";
}

/// The common shape by torch's rules: sizes agree from the last dimension on, or one of them is 1.
inline Sizes broadcast_sizes(const Sizes& a, const char* a_name, const Sizes& b,
                             const char* b_name) {
  Sizes result(std::max(a.size(), b.size()));
  for (size_t i = 0; i < result.size(); ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    STD_TORCH_CHECK(x == y || x == 1 || y == 1, "fpdet: ", b_name,
                    ": expected a shape that can be broadcast with ", a_name, "'s ", text_of(a),
                    ", got ", text_of(b));
    result[result.size() - 1 - i] = x == 1 ? y : x;
  }
  return result;
}

/// The strides of a tensor as if it had the shape that it is broadcast to.
inline Sizes broadcast_strides(const Tensor& t, const Sizes& shape) {
  Sizes strides(shape.size(), 0);
  const auto ahead = static_cast<int64_t>(shape.size()) - t.dim();
  for (int64_t d = 0; d < t.dim(); ++d) {
    if (t.size(d) != 1) strides[static_cast<size_t>(ahead + d)] = t.stride(d);
  }
  return strides;
}

/// A dimension of N tensors that are walked together.
template <size_t N>
struct Dimension {
  int64_t size;
  int64_t stride[N];
};

/// Appends a dimension behind the others, joined with the last of them where its elements follow
/// on from each other in every tensor. Dimensions of one element are dropped.
template <size_t N>
void append(std::vector<Dimension<N>>& dimensions, const Dimension<N>& next) {
  if (next.size == 1) return;
  if (!dimensions.empty()) {
    Dimension<N>& last = dimensions.back();
    bool joins = true;
    for (size_t i = 0; i < N; ++i) joins &= last.stride[i] == next.size * next.stride[i];
    if (joins) {
      last.size *= next.size;
      std::copy_n(next.stride, N, last.stride);
      return;
    }
  }
  dimensions.push_back(next);
}

}  // namespace fpdet::torch_ops
