// SPDX-License-Identifier: MIT
// The elementary functions of one argument, correctly rounded: f(x) as a real number, rounded once
// by any rounding into any format inside float32 (the algebraic ones into every format). The
// operand is a value of float32 (for the algebraic ones any float64).
//
// Two evaluations, each with a derived bound and a test (functions/rounding_test.h):
//   evaluate(f, x)   about 97 digits, for every rounding: the definition
//   fast_function    about 46 digits: enough for nearly all roundings without random bits; 0 where
//                    it is not, and evaluate() is asked.
// That evaluate()'s test fails for no float32 was seen for each function by trying all 2^32
// (benchmarks/results/proofs).
//
// To nearest even throughout (host: under an EnvironmentGuard), whatever rounding comes at the end.
#pragma once

#include "arith.h"
#include "functions/error_function.h"
#include "functions/exponential.h"
#include "functions/logarithm.h"
#include "functions/logistic.h"
#include "functions/root.h"
#include "random.h"

// X(enumerator, word, stem of its C++ names, code of its operand-keyed random bits)
#define FPDET_TRANSCENDENTAL_FUNCTIONS(X)    \
  X(Exp, "exp", exp, 16)                     \
  X(Expm1, "expm1", expm1, 17)               \
  X(Log, "log", log, 18)                     \
  X(Log1p, "log1p", log1p, 19)               \
  X(Tanh, "tanh", tanh, 20)                  \
  X(Sigmoid, "sigmoid", sigmoid, 21)         \
  X(Silu, "silu", silu, 22)                  \
  X(Softplus, "softplus", softplus, 23)      \
  X(Erf, "erf", erf, 24)                     \
  X(NormalCdf, "normal_cdf", normal_cdf, 25) \
  X(Gelu, "gelu", gelu, 26)
#define FPDET_ALGEBRAIC_FUNCTIONS(X) \
  X(Sqrt, "sqrt", sqrt, 27)          \
  X(Rsqrt, "rsqrt", rsqrt, 28)       \
  X(Reciprocal, "reciprocal", reciprocal, 29)
#define FPDET_FUNCTIONS(X)          \
  FPDET_TRANSCENDENTAL_FUNCTIONS(X) \
  FPDET_ALGEBRAIC_FUNCTIONS(X)

namespace fpdet::inline FPDET_TARGET {

enum class Function : uint32_t {
#define FPDET_ROW(enumerator, word, stem, code) enumerator = code,
  FPDET_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
};

FPDET_HD constexpr bool is_algebraic(Function f) {
  return f == Function::Sqrt || f == Function::Rsqrt || f == Function::Reciprocal;
}

// f.template operator()<F>() for a function known at run time only (host).
template <class Call>
decltype(auto) with_function(Function function, Call&& call) {
  switch (function) {
#define FPDET_ROW(enumerator, word, stem, code) \
  case Function::enumerator:                    \
    return call.template operator()<Function::enumerator>();
    FPDET_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
  }
  return call.template operator()<Function::Exp>();
}

// f(x): a float64 number (every zero, infinity and NaN, and other values at 0 and at infinities),
// or digits of which all roundings come right.
struct FunctionValue {
  bool is_number;
  double number;
  Unpacked digits;
};

FPDET_HD constexpr FunctionValue number_value(double x) { return {true, x, {false, 0, 0}}; }
FPDET_HD constexpr FunctionValue digits_value(const Unpacked& digits) {
  return {false, 0.0, digits};
}

// Where f has a logarithm or a root of x: the end of its domain.
FPDET_HD constexpr bool below_domain(Function f, double x) {
  if (f == Function::Log1p) return x < -1.0;
  return is_negative(x) && (f == Function::Log || f == Function::Sqrt || f == Function::Rsqrt);
}

// The values that stand outside the evaluation: at zeros, infinities, NaN, outside the domain,
// log(1) and log1p(-1). IEEE 754-2019 section 9.2.1; at infinities the limits, with the sign of the
// approach.
FPDET_HD constexpr bool special_value(Function f, double x, double& value) {
  const bool negative = is_negative(x);
  if (is_nan(x)) {
    value = canonical_nan();
    return true;
  }
  if (!is_zero(x) && !is_infinite(x)) {
    if (f == Function::Log && x == 1.0) {
      value = 0.0;
      return true;
    }
    if (f == Function::Log1p && x == -1.0) {
      value = infinity(true);
      return true;
    }
    value = canonical_nan();
    return below_domain(f, x);
  }
  const bool at_zero = is_zero(x);
  switch (f) {
    case Function::Exp:
      value = at_zero ? 1.0 : negative ? 0.0 : x;
      return true;
    case Function::Expm1:
      value = !at_zero && negative ? -1.0 : x;
      return true;
    case Function::Log:
      value = at_zero ? infinity(true) : negative ? canonical_nan() : x;
      return true;
    case Function::Log1p:
    case Function::Sqrt:
      value = !at_zero && negative ? canonical_nan() : x;
      return true;
    case Function::Tanh:
    case Function::Erf:
      value = at_zero ? x : negative ? -1.0 : 1.0;
      return true;
    case Function::Sigmoid:
    case Function::NormalCdf:
      value = at_zero ? 0.5 : negative ? 0.0 : 1.0;
      return true;
    case Function::Silu:
    case Function::Gelu:
      value = !at_zero && negative ? zero(true) : x;
      return true;
    case Function::Softplus:
      value = negative ? 0.0 : x;
      return !at_zero;
    case Function::Rsqrt:
      value = at_zero ? infinity(negative) : negative ? canonical_nan() : 0.0;
      return true;
    case Function::Reciprocal:
      value = at_zero ? infinity(negative) : zero(negative);
      return true;
  }
  return false;
}

// The enclosure of a transcendental function where it has no special value.
template <Function F>
FPDET_HD inline Enclosure enclosure(double x) {
#define FPDET_ROW(enumerator, word, stem, code) \
  if constexpr (F == Function::enumerator) return stem##_enclosure(x);
  FPDET_TRANSCENDENTAL_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
}

template <Function F>
FPDET_HD inline FunctionValue evaluate(double x) {
  double value = 0.0;
  if (special_value(F, x, value)) return number_value(value);
  if constexpr (!is_algebraic(F)) return digits_value(jammed(cut(enclosure<F>(x))));
#define FPDET_ROW(enumerator, word, stem, code) \
  if constexpr (F == Function::enumerator) return digits_value(stem##_unpacked(x));
  FPDET_ALGEBRAIC_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
}

// About 46 digits of f(x), or 0 where they would not help.
template <Function F>
FPDET_HD inline double fast_evaluate(double x) {
#define FPDET_ROW(enumerator, word, stem, code) \
  if constexpr (F == Function::enumerator) return stem##_fast(x);
  FPDET_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
}

// A float64 number that rounds like f(x) wherever no rounding looks at more than `digits` (at most
// kMostFastDigits) digits, or 0.
template <Function F>
FPDET_HD inline double fast_function(double x, int digits) {
  const double v = fast_evaluate<F>(x);
  // Rounded to odd already.
  if constexpr (F == Function::Sqrt || F == Function::Reciprocal) return v;
  return fast_decides(v, digits) ? v : 0.0;
}

// The digits of |f(x)| that a rounding compares it by.
FPDET_HD constexpr int digits_compared(const Format& format, Rounding rounding,
                                       const StochasticSpec& spec) {
  return format.precision + 1 + (rounding == Rounding::Stochastic ? spec.bits : 0);
}

// The float64 number that stands for f(x) where at most 51 digits are compared.
FPDET_HD constexpr double as_double(const FunctionValue& value) {
  return value.is_number ? value.number : jam_to_double(value.digits);
}

FPDET_HD constexpr double round_value(const FunctionValue& value, const Format& format,
                                      Rounding rounding, const StochasticSpec& spec,
                                      uint32_t random) {
  return value.is_number ? soft_round(value.number, format, rounding, spec, random)
                         : round_unpacked(value.digits, format, rounding, spec, random);
}

// f(x) rounded into the arithmetic's format (event 0).
template <Function F>
FPDET_HD inline double rounded_function(double x, const Arith& arith, RandomBits& random) {
  const Arithmetic& a = arith.arithmetic();
  return round_value(evaluate<F>(x), a.format, a.rounding, a.stochastic,
                     arith.draw(random, 0, static_cast<Operation>(F), x));
}

}  // namespace fpdet::inline FPDET_TARGET
