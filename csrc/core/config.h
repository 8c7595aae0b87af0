// SPDX-License-Identifier: MIT
// Ground rules of every translation unit of fpdet: what the compiler may not do, and the names that
// let the same inline function exist once per instruction set.
//
// FPDET_TARGET names the inline namespace (-DFPDET_TARGET=avx2 ...): copies of an inline function
// compiled with different flags then have different symbols and the linker never mixes them.
// FPDET_HD marks functions for host and device; it is empty outside nvcc. FPDET_HD_INLINE besides
// always inlines: for definitions whose words may be vectors of a kernel. FPDET_UNROLL asks host
// compilers to unroll the short loop that follows.
#pragma once

#include <cfloat>
#include <cstdint>
#include <limits>

#if defined(__FAST_MATH__)
#error "fpdet: refusing to build with -ffast-math: it changes the bits that fpdet promises"
#endif
#if defined(__ASSOCIATIVE_MATH__)
#error "fpdet: refusing to build with -fassociative-math: it reorders sums"
#endif
#if defined(__RECIPROCAL_MATH__)
#error "fpdet: refusing to build with -freciprocal-math: it replaces divisions"
#endif
#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ == 1
#error \
    "fpdet: refusing to build with -ffinite-math-only: NaN and infinities are part of the results"
#endif

#ifndef FPDET_TARGET
#define FPDET_TARGET baseline
#endif

#if defined(__CUDACC__)
#define FPDET_HD __host__ __device__
#define FPDET_HD_INLINE __host__ __device__ __forceinline__
#define FPDET_UNROLL
#else
#define FPDET_HD
#define FPDET_HD_INLINE inline __attribute__((always_inline))
#define FPDET_UNROLL _Pragma("GCC unroll 16")
#endif

namespace fpdet::inline FPDET_TARGET {

static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<float>::digits == 24,
              "fpdet needs float to be IEEE 754 binary32");
static_assert(std::numeric_limits<double>::is_iec559 && std::numeric_limits<double>::digits == 53,
              "fpdet needs double to be IEEE 754 binary64");
#if defined(FLT_EVAL_METHOD)
static_assert(FLT_EVAL_METHOD == 0,
              "fpdet needs float and double arithmetic without extra precision");
#endif

__extension__ typedef unsigned __int128 uint128;

}  // namespace fpdet::inline FPDET_TARGET
