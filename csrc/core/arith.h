// SPDX-License-Identifier: MIT
// One rounded operation: the choice between the processor's own instruction and soft.h, made once.
//
// Hardware serves exactly two accumulators, float32 (operands float-valued) and float64, under the
// four IEEE roundings: on the host +, *, / and std::fma under the ambient rounding mode, which the
// caller's EnvironmentGuard (environment.h) has set to the same rounding; on the device by
// instructions that carry the rounding (__fmaf_rz ...). Everything else is soft.h's, rounded once.
// The only file of core that asks whether it is compiled for the device.
#pragma once

#include <cmath>

#include "bits.h"
#include "config.h"
#include "format.h"
#include "random.h"
#include "rounding.h"
#include "soft.h"

namespace fpdet::inline FPDET_TARGET {

// Leaves for kernels that know type and rounding: ieee_add<R>(x, y) ... On the host the ambient
// rounding must be R. Without <R>: the ambient rounding on the host, nearest even on the device.
#if defined(__CUDA_ARCH__)
#define FPDET_DEVICE_LEAF(call32, call64)                         \
  if constexpr (sizeof(T) == sizeof(float)) {                     \
    if constexpr (R == Rounding::NearestEven) return call32(_rn); \
    if constexpr (R == Rounding::TowardZero) return call32(_rz);  \
    if constexpr (R == Rounding::Upward) return call32(_ru);      \
    if constexpr (R == Rounding::Downward) return call32(_rd);    \
  } else {                                                        \
    if constexpr (R == Rounding::NearestEven) return call64(_rn); \
    if constexpr (R == Rounding::TowardZero) return call64(_rz);  \
    if constexpr (R == Rounding::Upward) return call64(_ru);      \
    if constexpr (R == Rounding::Downward) return call64(_rd);    \
  }
#define FPDET_FMA32(suffix) __fmaf##suffix(a, b, c)
#define FPDET_FMA64(suffix) __fma##suffix(a, b, c)
#define FPDET_ADD32(suffix) __fadd##suffix(a, b)
#define FPDET_ADD64(suffix) __dadd##suffix(a, b)
#define FPDET_MUL32(suffix) __fmul##suffix(a, b)
#define FPDET_MUL64(suffix) __dmul##suffix(a, b)
#define FPDET_DIV32(suffix) __fdiv##suffix(a, b)
#define FPDET_DIV64(suffix) __ddiv##suffix(a, b)
#define FPDET_LEAF(device32, device64, host) FPDET_DEVICE_LEAF(device32, device64)
#else
#define FPDET_LEAF(device32, device64, host) return host;
#endif

template <Rounding R, class T>
FPDET_HD inline T ieee_fma(T a, T b, T c) {
  static_assert(is_hardware(R));
  FPDET_LEAF(FPDET_FMA32, FPDET_FMA64, std::fma(a, b, c))
}
template <Rounding R, class T>
FPDET_HD inline T ieee_add(T a, T b) {
  static_assert(is_hardware(R));
  FPDET_LEAF(FPDET_ADD32, FPDET_ADD64, a + b)
}
template <Rounding R, class T>
FPDET_HD inline T ieee_mul(T a, T b) {
  static_assert(is_hardware(R));
  FPDET_LEAF(FPDET_MUL32, FPDET_MUL64, a * b)
}
template <Rounding R, class T>
FPDET_HD inline T ieee_div(T a, T b) {
  static_assert(is_hardware(R));
  FPDET_LEAF(FPDET_DIV32, FPDET_DIV64, a / b)
}
template <Rounding R>
FPDET_HD inline float ieee_to_float(double x) {
  static_assert(is_hardware(R));
#if defined(__CUDA_ARCH__)
  if constexpr (R == Rounding::NearestEven) return __double2float_rn(x);
  if constexpr (R == Rounding::TowardZero) return __double2float_rz(x);
  if constexpr (R == Rounding::Upward) return __double2float_ru(x);
  if constexpr (R == Rounding::Downward) return __double2float_rd(x);
#else
  return static_cast<float>(x);
#endif
}
#undef FPDET_LEAF
#if defined(__CUDA_ARCH__)
#undef FPDET_DEVICE_LEAF
#undef FPDET_FMA32
#undef FPDET_FMA64
#undef FPDET_ADD32
#undef FPDET_ADD64
#undef FPDET_MUL32
#undef FPDET_MUL64
#undef FPDET_DIV32
#undef FPDET_DIV64
#endif

template <class T>
FPDET_HD inline T ieee_fma(T a, T b, T c) {
  return ieee_fma<Rounding::NearestEven>(a, b, c);
}
template <class T>
FPDET_HD inline T ieee_add(T a, T b) {
  return ieee_add<Rounding::NearestEven>(a, b);
}
template <class T>
FPDET_HD inline T ieee_mul(T a, T b) {
  return ieee_mul<Rounding::NearestEven>(a, b);
}

// Calls f.template operator()<R>() for a hardware rounding known at run time only. One call on the
// host, where the ambient mode decides; a switch over the instructions on the device.
template <class F>
FPDET_HD inline auto with_hardware_rounding([[maybe_unused]] Rounding rounding, F f) {
#if defined(__CUDA_ARCH__)
  switch (rounding) {
    case Rounding::TowardZero:
      return f.template operator()<Rounding::TowardZero>();
    case Rounding::Upward:
      return f.template operator()<Rounding::Upward>();
    case Rounding::Downward:
      return f.template operator()<Rounding::Downward>();
    default:
      break;
  }
#endif
  return f.template operator()<Rounding::NearestEven>();
}

// How the operations of one result are rounded (their order is order.h's business).
struct Arithmetic {
  Rounding rounding = Rounding::NearestEven;
  Format format = kFloat32;
  bool fused = true;
  StochasticSpec stochastic{};
};

// Random is a source of random bits (random.h): of an output element that is a reduction, or of an
// element of an elementwise op.
class Arith {
 public:
  // operands_fit: every operand that will be passed is a value of the hardware type behind the
  // format (true for float64, and for float32 unless operands are float64).
  FPDET_HD constexpr Arith(const Arithmetic& arithmetic, bool operands_fit)
      : arithmetic_(arithmetic), leaf_(choose(arithmetic, operands_fit)) {}

  FPDET_HD constexpr const Arithmetic& arithmetic() const { return arithmetic_; }
  FPDET_HD constexpr bool uses_hardware() const { return leaf_ != Leaf::Soft; }

  template <class Random>
  FPDET_HD double add(double p, double q, Random& random, int64_t event) const {
    if (leaf_ == Leaf::Float32) {
      return with_hardware_rounding(arithmetic_.rounding, [=]<Rounding R>() {
        return static_cast<double>(ieee_add<R>(static_cast<float>(p), static_cast<float>(q)));
      });
    }
    if (leaf_ == Leaf::Float64) {
      return with_hardware_rounding(arithmetic_.rounding,
                                    [=]<Rounding R>() { return ieee_add<R>(p, q); });
    }
    return soft_add(p, q, arithmetic_.format, arithmetic_.rounding, arithmetic_.stochastic,
                    draw(random, event, Operation::Add, p, q));
  }

  template <class Random>
  FPDET_HD double mul(double a, double b, Random& random, int64_t event) const {
    if (leaf_ == Leaf::Float32) {
      return with_hardware_rounding(arithmetic_.rounding, [=]<Rounding R>() {
        return static_cast<double>(ieee_mul<R>(static_cast<float>(a), static_cast<float>(b)));
      });
    }
    if (leaf_ == Leaf::Float64) {
      return with_hardware_rounding(arithmetic_.rounding,
                                    [=]<Rounding R>() { return ieee_mul<R>(a, b); });
    }
    return soft_mul(a, b, arithmetic_.format, arithmetic_.rounding, arithmetic_.stochastic,
                    draw(random, event, Operation::Multiply, a, b));
  }

  // a * b + c, rounded once.
  template <class Random>
  FPDET_HD double fma(double a, double b, double c, Random& random, int64_t event) const {
    if (leaf_ == Leaf::Float32) {
      return with_hardware_rounding(arithmetic_.rounding, [=]<Rounding R>() {
        return static_cast<double>(
            ieee_fma<R>(static_cast<float>(a), static_cast<float>(b), static_cast<float>(c)));
      });
    }
    if (leaf_ == Leaf::Float64) {
      return with_hardware_rounding(arithmetic_.rounding,
                                    [=]<Rounding R>() { return ieee_fma<R>(a, b, c); });
    }
    return soft_fma(a, b, c, arithmetic_.format, arithmetic_.rounding, arithmetic_.stochastic,
                    draw(random, event, Operation::Fma, a, b, c));
  }

  template <class Random>
  FPDET_HD double div(double a, double b, Random& random, int64_t event) const {
    if (leaf_ == Leaf::Float32) {
      return with_hardware_rounding(arithmetic_.rounding, [=]<Rounding R>() {
        return static_cast<double>(ieee_div<R>(static_cast<float>(a), static_cast<float>(b)));
      });
    }
    if (leaf_ == Leaf::Float64) {
      return with_hardware_rounding(arithmetic_.rounding,
                                    [=]<Rounding R>() { return ieee_div<R>(a, b); });
    }
    return soft_div(a, b, arithmetic_.format, arithmetic_.rounding, arithmetic_.stochastic,
                    draw(random, event, Operation::Divide, a, b));
  }

  // Conversion of any double to any format, under this arithmetic's rounding.
  template <class Random>
  FPDET_HD double round_to(double x, const Format& format, Random& random, int64_t event) const {
    if (is_float64(format)) return x;
    if (is_float32(format) && is_hardware(arithmetic_.rounding)) {
      return with_hardware_rounding(arithmetic_.rounding, [=]<Rounding R>() {
        return static_cast<double>(ieee_to_float<R>(x));
      });
    }
    return soft_round(x, format, arithmetic_.rounding, arithmetic_.stochastic,
                      draw(random, event, Operation::Convert, x));
  }

  // One term of a run: round(acc + a*b), or round(acc + round(a*b)) where not fused.
  template <class Random>
  FPDET_HD double accumulate(double acc, double a, double b, Random& random, int64_t product_event,
                             int64_t sum_event) const {
    if (arithmetic_.fused) return fma(a, b, acc, random, sum_event);
    return add(acc, mul(a, b, random, product_event), random, sum_event);
  }

  // R of one rounded operation; 0 where the rounding is not stochastic.
  template <class Random, class... Operands>
  FPDET_HD uint32_t draw(Random& random, int64_t event, Operation operation,
                         Operands... operands) const {
    if (arithmetic_.rounding != Rounding::Stochastic) return 0;
    if (arithmetic_.stochastic.keyed_by_operands) {
      return operand_bits(arithmetic_.stochastic, operation, operands...);
    }
    return random.at(event);
  }

 private:
  enum class Leaf : int { Soft, Float32, Float64 };

  FPDET_HD static constexpr Leaf choose(const Arithmetic& arithmetic, bool operands_fit) {
    if (!is_hardware(arithmetic.rounding) || !operands_fit) return Leaf::Soft;
    if (is_float32(arithmetic.format)) return Leaf::Float32;
    if (is_float64(arithmetic.format)) return Leaf::Float64;
    return Leaf::Soft;
  }

  Arithmetic arithmetic_;
  Leaf leaf_;
};

}  // namespace fpdet::inline FPDET_TARGET
