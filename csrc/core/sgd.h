// SPDX-License-Identifier: MIT
// One step of stochastic gradient descent for one parameter: torch.optim.SGD's update, each
// operation rounded in the accumulator's format. This file is its definition.
//
//   g = maximize ? -grad : grad
//   g = g + weight_decay * p                                  if weight_decay != 0
//   b = first step ? g : round(momentum * b) + (1 - dampening) * g    } if momentum != 0
//   g = nesterov ? g + momentum * b : b                               }
//   g = round(g / k)                                          if rescale k != 1
//   p = p - (lr * k) * g
//
// "x + c * y" is fused, or round(x + round(c * y)) where the Arithmetic says so. Scalars are
// float64 (1 - dampening and lr * k are computed there), rounded once to nearest even into the
// accumulator's format. The rescaled update is the perturbation of Sun, Lao, Sundaramoorthi, Yezzi
// (NeurIPS 2022): algebraically nothing, k a power of two exactly nothing.
//
// Events: operation i of the list above (weight decay 0, momentum product 1, buffer 2, nesterov 3,
// division 4, update 5) has events 2i (an unfused product) and 2i + 1; then 12 and 13 convert b and
// p to what is stored. The steps that follow use b as it was before that conversion.
#pragma once

#include <cstdint>

#include "arith.h"
#include "config.h"

namespace fpdet::inline FPDET_TARGET {

/// What the user gives, in float64.
struct SgdScalars {
  double lr = 1e-3;
  double momentum = 0.0;
  double dampening = 0.0;
  double weight_decay = 0.0;
  double rescale = 1.0;
  bool nesterov = false;
  bool maximize = false;
  bool first_step = false;  ///< the momentum buffer starts as the gradient
};

/// The scalars as members of the accumulator's format.
struct SgdCoefficients {
  double minus_lr, momentum, undamped, weight_decay, rescale;
  // Which steps take place is decided by the scalars as given, not as rounded.
  bool decays, has_momentum, rescales, nesterov, maximize, first_step;

  FPDET_HD SgdCoefficients(const SgdScalars& s, const Format& format, double undamped64,
                           double rescaled_lr64)
      : minus_lr(to(-rescaled_lr64, format)),
        momentum(to(s.momentum, format)),
        undamped(to(undamped64, format)),
        weight_decay(to(s.weight_decay, format)),
        rescale(to(s.rescale, format)),
        decays(s.weight_decay != 0),
        has_momentum(s.momentum != 0),
        rescales(s.rescale != 1),
        nesterov(s.nesterov),
        maximize(s.maximize),
        first_step(s.first_step) {}

 private:
  FPDET_HD static double to(double x, const Format& format) {
    return soft_round(x, format, Rounding::NearestEven, StochasticSpec{}, 0);
  }
};

/// 1 - dampening and lr * k in float64, rounded to nearest even whatever the environment is.
FPDET_HD inline SgdCoefficients sgd_coefficients(const SgdScalars& s, const Format& format) {
  const StochasticSpec none{};
  const double undamped = soft_add(1.0, -s.dampening, kFloat64, Rounding::NearestEven, none, 0);
  const double lr = soft_mul(s.lr, s.rescale, kFloat64, Rounding::NearestEven, none, 0);
  return SgdCoefficients(s, format, undamped, lr);
}

/// The updated parameter and momentum buffer, members of the accumulator's format.
struct SgdResult {
  double parameter;
  double buffer;
};

FPDET_HD inline SgdResult sgd_element(const SgdCoefficients& k, const Arith& arith,
                                      double parameter, double gradient, double buffer,
                                      RandomBits& random) {
  // c * y + x
  const auto multiply_add = [&](double c, double y, double x, int64_t operation) {
    return arith.accumulate(x, c, y, random, 2 * operation, 2 * operation + 1);
  };
  double g = k.maximize ? -gradient : gradient;
  if (k.decays) g = multiply_add(k.weight_decay, parameter, g, 0);
  if (k.has_momentum) {
    buffer =
        k.first_step ? g : multiply_add(k.undamped, g, arith.mul(k.momentum, buffer, random, 3), 2);
    g = k.nesterov ? multiply_add(k.momentum, buffer, g, 3) : buffer;
  }
  if (k.rescales) g = arith.div(g, k.rescale, random, 9);
  return {multiply_add(k.minus_lr, g, parameter, 5), buffer};
}

inline constexpr int64_t kSgdBufferEvent = 12;
inline constexpr int64_t kSgdParameterEvent = 13;

}  // namespace fpdet::inline FPDET_TARGET
