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

/// The scalars as members of the accumulator's format, in C: double, or a kernel's vector.
template <class C>
struct SgdCoefficientsOf {
  C minus_lr, momentum, undamped, weight_decay, rescale;
  // Which steps take place is decided by the scalars as given, not as rounded.
  bool decays, has_momentum, rescales, nesterov, maximize, first_step;

  template <class Convert>
  FPDET_HD auto convert(const Convert& to) const {
    return SgdCoefficientsOf<decltype(to(minus_lr))>{
        to(minus_lr), to(momentum), to(undamped), to(weight_decay), to(rescale), decays,
        has_momentum, rescales,     nesterov,     maximize,         first_step};
  }
};
using SgdCoefficients = SgdCoefficientsOf<double>;

/// 1 - dampening and lr * k in float64, rounded to nearest even whatever the environment is.
FPDET_HD inline SgdCoefficients sgd_coefficients(const SgdScalars& s, const Format& format) {
  const StochasticSpec none{};
  const double undamped = soft_add(1.0, -s.dampening, kFloat64, Rounding::NearestEven, none, 0);
  const double lr = soft_mul(s.lr, s.rescale, kFloat64, Rounding::NearestEven, none, 0);
  const SgdCoefficients given{-lr,        s.momentum,          undamped,        s.weight_decay,
                              s.rescale,  s.weight_decay != 0, s.momentum != 0, s.rescale != 1,
                              s.nesterov, s.maximize,          s.first_step};
  return given.convert(
      [&](double x) { return soft_round(x, format, Rounding::NearestEven, none); });
}

/// The updated parameter and momentum buffer, members of the accumulator's format.
template <class Value>
struct SgdResult {
  Value parameter;
  Value buffer;
};

/// Ops has, rounded, with the event's number: multiply_add(c, y, x, product event, event) = x + c
/// y, mul(c, y, event), div(y, c, event); and negate(y), exact. c is a coefficient of type C, x and
/// y are Values.
template <class C, class Value, class Ops>
FPDET_HD_INLINE SgdResult<Value> sgd_element(const SgdCoefficientsOf<C>& k, Ops& ops,
                                             Value parameter, Value gradient, Value buffer) {
  const auto multiply_add = [&](C c, Value y, Value x, int64_t operation) {
    return ops.multiply_add(c, y, x, 2 * operation, 2 * operation + 1);
  };
  Value g = k.maximize ? ops.negate(gradient) : gradient;
  if (k.decays) g = multiply_add(k.weight_decay, parameter, g, 0);
  if (k.has_momentum) {
    buffer = k.first_step ? g : multiply_add(k.undamped, g, ops.mul(k.momentum, buffer, 3), 2);
    g = k.nesterov ? multiply_add(k.momentum, buffer, g, 3) : buffer;
  }
  if (k.rescales) g = ops.div(g, k.rescale, 9);
  return {multiply_add(k.minus_lr, g, parameter, 5), buffer};
}

inline constexpr int64_t kSgdBufferEvent = 12;
inline constexpr int64_t kSgdParameterEvent = 13;

/// One element at a time: any Arithmetic.
struct ScalarOps {
  const Arith& arith;
  ElementwiseBits& random;

  FPDET_HD double multiply_add(double c, double y, double x, int64_t product_event,
                               int64_t event) const {
    return arith.accumulate(x, c, y, random, product_event, event);
  }
  FPDET_HD double mul(double c, double y, int64_t event) const {
    return arith.mul(c, y, random, event);
  }
  FPDET_HD double div(double y, double c, int64_t event) const {
    return arith.div(y, c, random, event);
  }
  FPDET_HD double negate(double y) const { return -y; }
};

FPDET_HD inline SgdResult<double> sgd_element(const SgdCoefficients& k, const Arith& arith,
                                              double parameter, double gradient, double buffer,
                                              ElementwiseBits& random) {
  ScalarOps ops{arith, random};
  return sgd_element(k, ops, parameter, gradient, buffer);
}

}  // namespace fpdet::inline FPDET_TARGET
