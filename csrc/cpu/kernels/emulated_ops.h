// SPDX-License-Identifier: MIT
// The operations of emulated.h. Products of float32 values are exact in float64, so one float64
// operation, rounded in a way that keeps what the format's rounding must know, and one rounding of
// its pattern (core/pattern.h, core/cut_pattern.h) are one rounding of the exact result.
#pragma once

#include "../../core/arith.h"
#include "../../core/cut_pattern.h"
#include "../../core/functions.h"
#include "../../core/odd_sum.h"
#include "../../core/pattern.h"
#include "event_draws.h"
#include "square_root.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Every rounding but stochastic: sums rounded to odd. The ambient rounding is nearest even.
template <Rounding R>
class OddOps {
 public:
  static constexpr Rounding kAmbient = Rounding::NearestEven;

  explicit OddOps(const Arithmetic& arithmetic)
      : fused_(arithmetic.fused), format_(arithmetic.format, R, arithmetic.stochastic) {}

  /// Nothing is ever in doubt.
  static constexpr bool attempts() { return true; }
  static CutWords<Words> cut() { return cut_words(CutFormat{}, Words{}); }

  /// Nothing is drawn.
  static constexpr int kDraws = 0;
  int64_t draw(const int64_t*, int64_t, EventSource&, Words*, Words*) const { return 0; }

  template <class Random>
  FPDET_INLINE Doubles accumulate(Doubles acc, Doubles a, Doubles b, const Words*, int64_t,
                                  Random&) const {
    const Doubles product = a * b;
    return sum(acc, fused_ ? product : as_doubles(round(as_words(product))));
  }
  template <class Random>
  FPDET_INLINE Doubles accumulate(Doubles acc, Doubles a, Doubles b, int64_t term,
                                  Random& random) const {
    return accumulate(acc, a, b, nullptr, term, random);
  }
  template <class Random>
  FPDET_INLINE Doubles add(Doubles p, Doubles q, int64_t, Random&) const {
    return sum(p, q);
  }
  template <class Random>
  FPDET_INLINE Doubles mul(Doubles a, Doubles b, int64_t, Random&) const {
    return as_doubles(round(as_words(a * b)));
  }
  template <class Random>
  FPDET_INLINE Doubles div(Doubles a, Doubles b, int64_t, Random&) const {
    // a - q b is exact: a multiple of ulp(q) ulp(b) and at most ulp(q) |b| / 2, it has the digits
    // of a float32 value. The exact quotient lies from q where a - q b, divided by b, points to.
    const Doubles q = a / b;
    const Words rest = as_words(fma<double>(-q, b, a)) ^ (as_words(b) & kSignBit);
    return as_doubles(round(jam_to_odd<Words>(q, as_doubles(rest), as_words)));
  }
  template <class Random>
  FPDET_INLINE Doubles sqrt(Doubles a, int64_t, Random&) const {
    const Doubles q =
        square_root<double>(a);  // a - q q is exact likewise, and has the sign of sqrt(a) - q
    return as_doubles(round(jam_to_odd<Words>(q, fma<double>(-q, q, a), as_words)));
  }

 private:
  FPDET_INLINE Words round(Words x) const { return round_pattern<R, true>(x, format_, Words{}); }
  FPDET_INLINE Doubles sum(Doubles p, Doubles q) const {
    Words s = odd_sum<Words>(p, q, as_words);
    if constexpr (R == Rounding::Downward) {
      // What cancels is -0 here, +0 to nearest even; +0 + +0 stays.
      const Words cancelled = (s == 0) & ((as_words(p) | as_words(q)) != 0);
      s |= cancelled & kSignBit;
    }
    return as_doubles(round(s));
  }

  bool fused_;
  PatternFormat<Binary64> format_;
};

inline constexpr auto kSquareRoot = static_cast<Operation>(Function::Sqrt);

/// R of an event that has been asked for.
template <class Random>
RandomWord drawn(const Random& source, int64_t event) {
  if constexpr (requires { source.at(event); }) {
    return source.at(event);
  } else {
    Random again = source;
    return again.at(event);
  }
}

/// Lanes in doubt, from their operands.
template <Operation O, class Random>
[[gnu::noinline]] Doubles repair(const Arithmetic& arithmetic, Doubles result, Words doubtful,
                                 Doubles cut, Doubles x, Doubles y, Doubles z, int64_t event,
                                 const Random& source) {
  const Format& f = arithmetic.format;
  const StochasticSpec& spec = arithmetic.stochastic;
  const Words random = drawn(source, event).v;
  for (int l = 0; l < kDoubleLanes; ++l) {
    if ((doubtful[l] & kSignBit) == 0) continue;
    const auto r = static_cast<uint32_t>(random[l]);
    if (is_zero(cut[l])) {  // in doubt for lying below the normal range; needs no rounding
      result[l] = cut[l];
    } else if constexpr (O == Operation::Multiply) {
      result[l] = soft_mul(x[l], y[l], f, Rounding::Stochastic, spec, r);
    } else if constexpr (O == Operation::Add) {
      result[l] = soft_add(x[l], y[l], f, Rounding::Stochastic, spec, r);
    } else if constexpr (O == Operation::Divide) {
      result[l] = soft_div(x[l], y[l], f, Rounding::Stochastic, spec, r);
    } else if constexpr (O == kSquareRoot) {
      result[l] = round_value(evaluate<Function::Sqrt>(x[l]), f, Rounding::Stochastic, spec, r);
    } else {
      result[l] = soft_fma(x[l], y[l], z[l], f, Rounding::Stochastic, spec, r);
    }
  }
  return result;
}

/// stochastic, keyed by position: sums cut toward zero, which is the ambient rounding.
template <bool Fused, bool Doubts>
class StochasticOps {
 public:
  static constexpr Rounding kAmbient = Rounding::TowardZero;

  explicit StochasticOps(const Arithmetic& arithmetic)
      : arithmetic_(arithmetic), format_(arithmetic.format, arithmetic.stochastic) {}

  /// Whether a first attempt (emulated_blocks.h) is worth its while.
  bool attempts() const { return format_.spec.variant == 'a'; }
  CutWords<Words> cut() const { return cut_words(format_, Words{}); }

  /// Writes what the roundings of n terms add, of two vectors of outputs, kDraws words a term, from
  /// the returned place on. Ahead of the terms, so that chains of Philox overlap.
  static constexpr int kDraws = Fused ? 1 : 2;
  FPDET_INLINE int64_t draw(const int64_t* numbers, int64_t n, EventSource& source, Words* to_a,
                            Words* to_b) const {
    return draw_terms<Fused>(format_, numbers, n, source, to_a, to_b);
  }

  template <class Random>
  FPDET_INLINE Doubles accumulate(Doubles acc, Doubles a, Doubles b, const Words* biases,
                                  int64_t term, Random& random) const {
    if constexpr (Fused) {
      return round<Operation::Fma>(fma<double>(a, b, acc), biases[0], a, b, acc, 2 * term + 1,
                                   random);
    }
    const Doubles product = round<Operation::Multiply>(a * b, biases[0], a, b, b, 2 * term, random);
    return round<Operation::Add>(acc + product, biases[1], acc, product, product, 2 * term + 1,
                                 random);
  }
  template <class Random>
  FPDET_INLINE Doubles accumulate(Doubles acc, Doubles a, Doubles b, int64_t term,
                                  Random& random) const {
    if constexpr (Fused) {
      const Words bias = bias_of(2 * term + 1, random);
      return accumulate(acc, a, b, &bias, term, random);
    } else {
      return add(acc, mul(a, b, 2 * term, random), 2 * term + 1, random);
    }
  }
  template <class Random>
  FPDET_INLINE Doubles add(Doubles p, Doubles q, int64_t event, Random& random) const {
    return round<Operation::Add>(p + q, bias_of(event, random), p, q, q, event, random);
  }
  template <class Random>
  FPDET_INLINE Doubles mul(Doubles a, Doubles b, int64_t event, Random& random) const {
    return round<Operation::Multiply>(a * b, bias_of(event, random), a, b, b, event, random);
  }
  /// The quotient that the processor cuts: its digits are those of the exact one.
  template <class Random>
  FPDET_INLINE Doubles div(Doubles a, Doubles b, int64_t event, Random& random) const {
    return round<Operation::Divide>(a / b, bias_of(event, random), a, b, b, event, random);
  }
  /// Likewise.
  template <class Random>
  FPDET_INLINE Doubles sqrt(Doubles a, int64_t event, Random& random) const {
    return round<kSquareRoot>(square_root<double>(a), bias_of(event, random), a, a, a, event,
                              random);
  }

 private:
  template <class Random>
  FPDET_INLINE Words bias_of(int64_t event, Random& random) const {
    if constexpr (requires { random.cut; }) {
      return cut_bias_of_top(random.cut, random.top(event).v);
    }
    return cut_bias(format_, random.at(event).v);
  }

  /// The operation's result, given cut, from its bias, operands and event.
  template <Operation O, class Random>
  FPDET_INLINE Doubles round(Doubles cut, Words bias, Doubles x, Doubles y, Doubles z,
                             int64_t event, Random& random) const {
    if constexpr (requires { random.cut; }) {
      const CutResult<Words> r = round_cut_pattern<Doubts>(as_words(cut), random.cut, bias);
      random.doubtful |= r.doubtful;  // whoever attempts it repeats the whole
      return as_doubles(r.pattern);
    } else {
      const CutResult<Words> r = round_cut_pattern<Doubts>(as_words(cut), format_, bias);
      if (__builtin_expect(any_doubtful(r.doubtful), 0)) {
        // Zeros, as where a sum begins on padding, lie below the normal range and are right.
        const Words others = (as_words(cut) & ~kSignBit) != 0;
        if (!any_doubtful(r.doubtful & others)) return as_doubles(r.pattern);
        return repair<O>(arithmetic_, as_doubles(r.pattern), r.doubtful, cut, x, y, z, event,
                         random);
      }
      return as_doubles(r.pattern);
    }
  }

  Arithmetic arithmetic_;
  CutFormat format_;
};

/// Calls f with the Ops of an arithmetic.
template <class F>
void with_emulated_ops(const Arithmetic& arithmetic, F&& f) {
  with_rounding(arithmetic.rounding, [&]<Rounding R>() {
    if constexpr (R == Rounding::Stochastic) {
      const bool doubts = CutFormat(arithmetic.format, arithmetic.stochastic).doubts;
      if (arithmetic.fused) {
        doubts ? f(StochasticOps<true, true>(arithmetic))
               : f(StochasticOps<true, false>(arithmetic));
      } else {
        doubts ? f(StochasticOps<false, true>(arithmetic))
               : f(StochasticOps<false, false>(arithmetic));
      }
    } else {
      f(OddOps<R>(arithmetic));
    }
  });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
