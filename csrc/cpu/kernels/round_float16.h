// SPDX-License-Identifier: MIT
// fpdet.round of float32 elements to float16 where the processor has that conversion: its rounding
// is the ambient one, subnormals and overflow are IEEE 754's, and the way back is exact.
#pragma once

#include "../../core/environment.h"
#include "elementwise_task.h"
#include "lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

#if defined(__F16C__)

/// Whether the task is one.
inline bool rounds_to_float16(const RoundTask& task) {
  constexpr PatternFormat<Binary32> kHalf(kFloat16, Rounding::NearestEven, StochasticSpec{});
  const PatternFormat<Binary32>& f = task.format32;
  return task.scalar == Scalar::Float32 && !task.wide && is_hardware(f.rounding) &&
         f.dropped == kHalf.dropped && f.least_field == kHalf.least_field &&
         f.max_finite == kHalf.max_finite && f.special == kHalf.special &&
         f.beyond_positive == PatternFormat<Binary32>(kFloat16, f.rounding, f.spec).beyond_positive;
}

inline void round_float16_run(const RoundTask& task, int64_t begin, int64_t end) {
  constexpr int N = 8;
  const EnvironmentGuard guard(task.format32.rounding);
  const auto* in = static_cast<const float*>(task.x);
  auto* out = static_cast<float*>(task.out);
  const auto step = []<bool Stream>(const float* from, float* to) {
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(from), _MM_FROUND_CUR_DIRECTION);
    put<Stream>(to, _mm256_cvtph_ps(halves));
  };
  map_vectors<N>(task.stream, in, out, begin, end, step);
}

#endif

}  // namespace fpdet::inline FPDET_TARGET::kernels
