// SPDX-License-Identifier: MIT
// What the elementwise ops share.
#pragma once

#include <algorithm>

#include "check.h"
#include "layout.h"
#include "parallel.h"

namespace fpdet::torch_ops {

inline constexpr double kSlowSecondsPerElement = 100e-9;
inline constexpr double kFastSecondsPerElement = 5e-9;

/// Test knob: without kernels everything takes the slow path.
bool elementwise_kernels_in_use();

inline cpu::ParallelFor interruptible(double seconds_per_element) {
  return [=](int64_t count, int64_t grain, const std::function<void(cpu::Pieces&)>& body) {
    interruptible_parallel_for(seconds_per_element, count, grain, body);
  };
}

/// Elements of a call under a rounding, for a GPU's errors.
inline std::string describe(int64_t count, Rounding rounding, const Format& format) {
  return std::to_string(count) + " elements, under '" + to_string(rounding) + "' in " +
         to_string(format);
}

/// The elements of a tensor in a call that counts samples.
template <class Call>
void count_elements(const Tensor& result, Call& call) {
  const int64_t samples = result.dim() > 0 ? result.size(0) : 1;
  call.count = result.numel();
  call.per_sample = samples > 0 ? std::max<int64_t>(1, call.count / samples) : 1;
}

/// run(call) from x into `result`, of any layout, the two made to lie alike.
template <class Call, class Run>
void run_into(Tensor result, const Tensor& x, Call& call, bool draws, const Run& run) {
  count_elements(result, call);
  if (lies_well(result, draws) && same_strides(x, result)) {
    call.x = x.const_data_ptr();
    call.out = result.mutable_data_ptr();
    return run(call);
  }
  const Tensor copy = row_major_copy(x);
  call.x = copy.const_data_ptr();
  call.out = copy.mutable_data_ptr();  // element by element: in place
  run(call);
  torch::stable::copy_(result, copy);
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
