// SPDX-License-Identifier: MIT
// One step of Adam or AdamW for one parameter (Kingma and Ba, arXiv:1412.6980; Loshchilov and
// Hutter, arXiv:1711.05101): torch.optim's update, in the order of its single-tensor form, each
// operation rounded in the accumulator's format. This file is its definition.
//
//   g = maximize ? -grad : grad
//   g = g + weight_decay * p, or p = round((1 - lr * weight_decay) * p)  if weight_decay != 0    0
//   d = round(g - m)                                                                             1
//   m = w < 1/2 ? m + w * d : g + (w - 1) * d         w = 1 - beta1                              2
//   v = round(round((1 - beta2) * g) * g + round(beta2 * v))                               4, 3, 5
//   h = amsgrad ? max(h, v) : v                                                              exact
//   r = round(round(sqrt(h)) / sqrt(1 - beta2^t))                                             6, 7
//   r = round(r + eps)                                                                           8
//   u = round(round(-(lr / (1 - beta1^t)) * m) / r)                                          9, 10
//   p = round(p + u)                                                                            11
//
// "x + c * y" is fused, or round(x + round(c * y)) where the Arithmetic says so; v is one of them.
// Scalars are float64, computed there to nearest even, then rounded once to nearest even into the
// accumulator's format. beta^t is given: the float64 number nearest to it.
//
// Events: step i has 2i (an unfused product) and 2i + 1; then 24, 25, 26, 27 convert m, v, p, h to
// what is stored. The steps use m, v and h as they were before that conversion.
#pragma once

#include <cstdint>

#include "arith.h"
#include "config.h"
#include "functions.h"
#include "sgd.h"

namespace fpdet::inline FPDET_TARGET {

/// Pass tag of the random bits.
inline constexpr uint32_t kPassAdam = 10;

/// sqrt(x) rounded once; of -0 it is -0, of other negative numbers NaN.
FPDET_HD inline double adam_sqrt(double x, const Arithmetic& a, uint32_t random = 0) {
  return round_value(evaluate<Function::Sqrt>(x), a.format, a.rounding, a.stochastic, random);
}

/// What the user gives, and the powers of the betas, in float64.
struct AdamScalars {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double beta1_power = 0.9, beta2_power = 0.999;  ///< beta^t of step t, counted from 1
  double eps = 1e-8;
  double weight_decay = 0.0;
  bool decoupled = false;  ///< weight decay shrinks the parameter (AdamW), not the gradient
  bool maximize = false;
  bool amsgrad = false;
};

/// The scalars as members of the accumulator's format, in C: double, or a kernel's vector.
template <class C>
struct AdamCoefficientsOf {
  C decay;            ///< weight_decay, or 1 - lr * weight_decay
  C toward, back;     ///< w = 1 - beta1, and w - 1
  C kept, taken;      ///< beta2, 1 - beta2
  C correction, eps;  ///< sqrt(1 - beta2^t)
  C minus_step;       ///< -lr / (1 - beta1^t)
  bool near;          ///< w < 1/2
  bool decays, decoupled, maximize, amsgrad;

  template <class Convert>
  FPDET_HD auto convert(const Convert& to) const {
    return AdamCoefficientsOf<decltype(to(decay))>{
        to(decay),      to(toward), to(back), to(kept),  to(taken), to(correction), to(eps),
        to(minus_step), near,       decays,   decoupled, maximize,  amsgrad};
  }
};
using AdamCoefficients = AdamCoefficientsOf<double>;

/// The scalars that follow from what is given: float64, nearest even whatever the environment is.
FPDET_HD inline AdamCoefficients adam_coefficients(const AdamScalars& s, const Format& format) {
  constexpr Rounding kNearest = Rounding::NearestEven;
  const StochasticSpec none{};
  const auto complement = [&](double x) { return soft_add(1.0, -x, kFloat64, kNearest, none, 0); };
  const double shrunk = complement(soft_mul(s.lr, s.weight_decay, kFloat64, kNearest, none, 0));
  const double step = soft_div(s.lr, complement(s.beta1_power), kFloat64, kNearest, none, 0);
  const double correction = adam_sqrt(complement(s.beta2_power), {kNearest, kFloat64});
  const auto member = [&](double x) { return soft_round(x, format, kNearest, none); };
  const double toward = member(complement(s.beta1));
  return {member(s.decoupled ? shrunk : s.weight_decay),
          toward,
          soft_add(toward, -1.0, format, kNearest, none, 0),  // exact wherever it is used
          member(s.beta2),
          member(complement(s.beta2)),
          member(correction),
          member(s.eps),
          member(-step),
          toward < 0.5,
          s.weight_decay != 0,
          s.decoupled,
          s.maximize,
          s.amsgrad};
}

/// The updated parameter and state, members of the accumulator's format.
template <class Value>
struct AdamValues {
  Value parameter, average, square, most;
};

/// Ops has, rounded, with the event's number: multiply_add(c, y, x, product event, event) = x + c
/// y, add(x, y, event), mul(x, y, event), div(x, y, event), sqrt(x, event); and exact: negate(x),
/// maximum(x, y), NaN if one of them is.
template <class Value, class Ops>
FPDET_HD_INLINE AdamValues<Value> adam_element(const AdamCoefficientsOf<Value>& k, Ops& ops,
                                               AdamValues<Value> at, Value gradient) {
  const auto multiply_add = [&](Value c, Value y, Value x, int64_t step) {
    return ops.multiply_add(c, y, x, 2 * step, 2 * step + 1);
  };
  Value g = k.maximize ? ops.negate(gradient) : gradient;
  if (k.decays && k.decoupled) at.parameter = ops.mul(k.decay, at.parameter, 1);
  if (k.decays && !k.decoupled) g = multiply_add(k.decay, at.parameter, g, 0);
  const Value d = ops.add(g, ops.negate(at.average), 3);
  at.average = k.near ? multiply_add(k.toward, d, at.average, 2) : multiply_add(k.back, d, g, 2);
  const Value kept = ops.mul(k.kept, at.square, 7);
  at.square = multiply_add(ops.mul(k.taken, g, 9), g, kept, 5);
  at.most = k.amsgrad ? ops.maximum(at.most, at.square) : at.square;
  const Value root = ops.div(ops.sqrt(at.most, 13), k.correction, 15);
  const Value divisor = ops.add(root, k.eps, 17);
  const Value update = ops.div(ops.mul(k.minus_step, at.average, 19), divisor, 21);
  at.parameter = ops.add(at.parameter, update, 23);
  return at;
}

inline constexpr int64_t kAdamAverageEvent = 24;
inline constexpr int64_t kAdamSquareEvent = 25;
inline constexpr int64_t kAdamParameterEvent = 26;
inline constexpr int64_t kAdamMostEvent = 27;

/// One element at a time: any Arithmetic.
struct AdamScalarOps : ScalarOps {
  FPDET_HD double add(double x, double y, int64_t event) const {
    return arith.add(x, y, random, event);
  }
  FPDET_HD double sqrt(double x, int64_t event) const {
    constexpr auto kCode = static_cast<Operation>(Function::Sqrt);
    return adam_sqrt(x, arith.arithmetic(), arith.draw(random, event, kCode, x));
  }
  FPDET_HD double maximum(double x, double y) const { return x > y || is_nan(x) ? x : y; }
};

FPDET_HD inline AdamValues<double> adam_element(const AdamCoefficients& k, const Arith& arith,
                                                const AdamValues<double>& at, double gradient,
                                                ElementwiseBits& random) {
  const AdamScalarOps ops{{arith, random}};
  return adam_element(k, ops, at, gradient);
}

}  // namespace fpdet::inline FPDET_TARGET
