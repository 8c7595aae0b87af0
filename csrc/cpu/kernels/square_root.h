// SPDX-License-Identifier: MIT
// Square roots of vectors.
#pragma once

#include <cmath>

#include "lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Under the ambient rounding, as IEEE 754 has it.
template <class T>
FPDET_INLINE LanesN<T, kFull<T>> square_root(LanesN<T, kFull<T>> x) {
#if defined(__AVX512F__)
  // With a mask of all lanes: the plain form makes g++ 12 warn of an uninitialised operand.
  if constexpr (__is_same(T, float)) {
    return reinterpret<LanesN<T, kFull<T>>>(_mm512_maskz_sqrt_ps(0xffff, reinterpret<__m512>(x)));
  } else {
    return reinterpret<LanesN<T, kFull<T>>>(_mm512_maskz_sqrt_pd(0xff, reinterpret<__m512d>(x)));
  }
#elif defined(__AVX2__)
  if constexpr (__is_same(T, float)) {
    return reinterpret<LanesN<T, kFull<T>>>(_mm256_sqrt_ps(reinterpret<__m256>(x)));
  } else {
    return reinterpret<LanesN<T, kFull<T>>>(_mm256_sqrt_pd(reinterpret<__m256d>(x)));
  }
#else
  for (int l = 0; l < kFull<T>; ++l) x[l] = std::sqrt(x[l]);
  return x;
#endif
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
