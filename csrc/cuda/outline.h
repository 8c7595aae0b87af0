// SPDX-License-Identifier: MIT
// Core's emulated operations as functions of their own on the device: inlined at each of their many
// uses they make kernels that take minutes to compile and more registers than there are. To be
// included before any header of core.
#pragma once

#include "../core/format.h"
#include "../core/random.h"
#include "../core/rounding.h"

#if defined(__CUDA_ARCH__)
namespace fpdet::inline FPDET_TARGET {

FPDET_HD __noinline__ constexpr double soft_round(double, const Format&, Rounding,
                                                  const StochasticSpec&, uint32_t);
FPDET_HD __noinline__ constexpr double soft_add(double, double, const Format&, Rounding,
                                                const StochasticSpec&, uint32_t);
FPDET_HD __noinline__ constexpr double soft_mul(double, double, const Format&, Rounding,
                                                const StochasticSpec&, uint32_t);
FPDET_HD __noinline__ constexpr double soft_fma(double, double, double, const Format&, Rounding,
                                                const StochasticSpec&, uint32_t);
FPDET_HD __noinline__ constexpr double soft_div(double, double, const Format&, Rounding,
                                                const StochasticSpec&, uint32_t);

}  // namespace fpdet::inline FPDET_TARGET
#endif
