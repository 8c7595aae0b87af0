// SPDX-License-Identifier: MIT
// How a tensor's elements lie in memory.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstdint>

#include "shape.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fpdet::torch_ops {

using torch::stable::Tensor;

/// Every place from the first to the last holds exactly one element.
inline bool is_dense(const Tensor& t) {
  if (t.is_contiguous()) return true;
  const auto sizes = t.sizes(), strides = t.strides();
  // Dimensions from the densest on: each begins where the ones before end.
  int64_t filled = 1;
  while (filled < t.numel()) {
    int64_t next = 1;
    for (size_t d = 0; d < sizes.size(); ++d) {
      if (sizes[d] > 1 && strides[d] == filled) next = sizes[d];
    }
    if (next == 1) return false;
    filled *= next;
  }
  return true;
}

/// Without gaps, and row-major where the numbers of the elements count.
inline bool lies_well(const Tensor& t, bool numbered) {
  return numbered ? t.is_contiguous() : is_dense(t);
}

/// Of tensors of one shape: element i of both lies at the same place.
inline bool same_strides(const Tensor& a, const Tensor& b) {
  const auto sizes = a.sizes(), a_strides = a.strides(), b_strides = b.strides();
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] > 1 && a_strides[d] != b_strides[d]) return false;
  }
  return true;
}

inline Sizes row_major_strides(const Sizes& sizes) {
  Sizes strides(sizes.size());
  int64_t stride = 1;
  for (size_t d = sizes.size(); d-- > 0; stride *= std::max<int64_t>(1, sizes[d])) {
    strides[d] = stride;
  }
  return strides;
}

/// Of a batch of channels over 2 or 3 spatial dimensions.
inline Sizes channels_last_strides(const Sizes& sizes) {
  Sizes strides(sizes.size());
  int64_t stride = strides[1] = 1;
  stride *= sizes[1];
  for (size_t d = sizes.size(); d-- > 2; stride *= sizes[d]) strides[d] = stride;
  strides[0] = stride;
  return strides;
}

/// Without the dispatcher, which takes longer than the rest of a small op.
inline Tensor empty_strided(const Tensor& like, const Sizes& sizes, const Sizes& strides) {
  int32_t dtype, type, index;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(like.get(), &dtype));
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(like.get(), &type));
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_index(like.get(), &index));
  AtenTensorHandle result;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(static_cast<int64_t>(sizes.size()),
                                                         sizes.data(), strides.data(), dtype, type,
                                                         index, &result));
  return Tensor(result);
}

/// empty_like. The first touch of fresh memory costs far more than an elementwise op: where the
/// kernel takes advice, in pages of 2 MiB instead of 4 KiB.
inline Tensor large_empty_like(const Tensor& t) {
  Tensor result = torch::stable::empty_like(t);
#if defined(__linux__)
  constexpr uintptr_t kPage = uintptr_t{2} << 20;
  const auto bytes = static_cast<uintptr_t>(t.numel()) * t.element_size();
  if (result.is_cpu() && bytes >= 4 * kPage && is_dense(result)) {
    const auto address = reinterpret_cast<uintptr_t>(result.mutable_data_ptr());
    const uintptr_t begin = (address + kPage - 1) & ~(kPage - 1);
    const uintptr_t end = (address + bytes) & ~(kPage - 1);
    // Advice alone: where it is refused, pages stay small.
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
  }
#endif
  return result;
}

inline Tensor row_major_copy(const Tensor& t) {
  Tensor copy = torch::stable::new_empty(t, t.sizes());
  torch::stable::copy_(copy, t);
  return copy;
}

}  // namespace fpdet::torch_ops
