// SPDX-License-Identifier: MIT
// What the elementwise ops share.
#pragma once

#include <algorithm>

#include "check.h"
#include "parallel.h"

namespace fpdet::torch_ops {

inline constexpr double kSlowSecondsPerElement = 100e-9;
inline constexpr double kFastSecondsPerElement = 5e-9;

/// Test knob: without kernels everything takes the slow path.
bool elementwise_kernels_in_use();

inline cpu::ParallelFor interruptible(double seconds_per_element) {
  return [=](int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
    interruptible_parallel_for(seconds_per_element, count, grain, body);
  };
}

inline void check_same_shape(const Tensor& a, const char* a_name, const Tensor& b,
                             const char* b_name) {
  const auto sizes_a = a.sizes(), sizes_b = b.sizes();
  STD_TORCH_CHECK(std::equal(sizes_a.begin(), sizes_a.end(), sizes_b.begin(), sizes_b.end()),
                  "fpdet: ", b_name, ": expected the shape of ", a_name, " (", a.dim(),
                  " dimensions, ", a.numel(), " elements), got ", b.dim(), " dimensions, ",
                  b.numel(), " elements");
}

}  // namespace fpdet::torch_ops
