// SPDX-License-Identifier: MIT
// Rounding on the bit pattern of an IEEE format to any format whose values it holds: soft_round for
// vectors. A pattern's integer order is the order of magnitudes and a carry out of the fraction
// steps into the next binade, so "add the bias, cut" (bias.h) works on the pattern as it is, down
// to the target's least positive number; below that only zero and this number are left.
//
//   sign | exponent field | fraction        F fraction bits, e the field, at least 1
//                 <-- k --> <- dropped ->    dropped = F + 1 - p, more where e < least_field
#pragma once

#include "bias.h"
#include "bits.h"
#include "config.h"
#include "format.h"
#include "soft.h"

namespace fpdet::inline FPDET_TARGET {

struct Binary32 {
  using Word = uint32_t;
  static constexpr int kBits = 32, kFraction = 23, kBias = 127;
  static constexpr Format kFormat = kFloat32;
  FPDET_HD static constexpr Word pattern(double member) { return double_to_float32(member); }
};
struct Binary64 {
  using Word = uint64_t;
  static constexpr int kBits = 64, kFraction = 52, kBias = 1023;
  static constexpr Format kFormat = kFloat64;
  FPDET_HD static constexpr Word pattern(double member) { return to_bits(member); }
};

/// A format and a rounding as patterns of Layout, which holds the format's values.
template <class Layout>
struct PatternFormat {
  using Word = typename Layout::Word;

  Rounding rounding = Rounding::NearestEven;
  StochasticSpec spec{};
  int dropped = 0;       ///< digits of a normal number below its quantum
  Word least_field = 1;  ///< exponent field below which the quantum stays
  Word least = 0;        ///< the least positive number
  Word max_finite = 0;
  Word beyond_positive = 0, beyond_negative = 0;  ///< what stands for larger numbers; no sign bit
  Word special = 0;                               ///< or-ed into infinity and NaN

  PatternFormat() = default;
  FPDET_HD constexpr PatternFormat(const Format& format, Rounding r, const StochasticSpec& s)
      : rounding(r),
        spec(s),
        dropped(Layout::kFraction + 1 - format.precision),
        least_field(static_cast<Word>(format.exponent_min + Layout::kBias)),
        least(Layout::pattern(compose(false, 1, format.exponent_min - (format.precision - 1)))),
        max_finite(Layout::pattern(format.max_finite)),
        beyond_positive(Layout::pattern(overflow(false, format, r))),
        beyond_negative(Layout::pattern(overflow(true, format, r)) & (~Word{0} >> 1)),
        special(format.has_infinity ? Word{0} : Word{1} << (Layout::kFraction - 1)) {}
};

/// a < b of words below half their range. Vectors compare as signed: one instruction, not two.
template <class U>
FPDET_HD_INLINE constexpr auto less(U a, U b) {
  using Compared = decltype(a < b);
  if constexpr (__is_same(Compared, bool)) {
    return a < b;
  } else {
    return reinterpret_cast<Compared>(a) < reinterpret_cast<Compared>(b);
  }
}

template <class U>
FPDET_HD_INLINE constexpr U lesser(U a, U b) {
  using Compared = decltype(a < b);
  if constexpr (__is_same(Compared, bool)) {
    return a < b ? a : b;
  } else {
    const auto x = reinterpret_cast<Compared>(a), y = reinterpret_cast<Compared>(b);
    return reinterpret_cast<U>(x < y ? x : y);
  }
}

/// All bits set where 0 < |x| < least, the pattern of the least normal number: elsewhere a format
/// rounds as one that keeps its exponent range.
template <class Word, class U>
FPDET_HD_INLINE constexpr U below_normal(U x, Word least) {
  const U zero = x ^ x;
  return ((x & (~Word{0} >> 1)) - 1) < zero + (least - 1) ? ~zero : zero;
}

/// Float32 values as many as U has words, and what their comparisons give.
template <class U>
struct FloatsOf {
  typedef float Values __attribute__((vector_size(sizeof(U))));
  typedef int32_t Integers __attribute__((vector_size(sizeof(U))));
};
template <>
struct FloatsOf<uint32_t> {
  using Values = float;
  using Integers = int32_t;
};
template <class To, class From>
FPDET_HD_INLINE constexpr To convert_each(From x) {
  if constexpr (__is_same(To, float) || __is_same(From, float)) {
    return static_cast<To>(x);
  } else {
    return __builtin_convertvector(x, To);
  }
}

/// x, below the normal range or zero, rounded by Stochastic, random = R 2^(32 - N), under an
/// EnvironmentGuard. In units of the quantum, which stays there, the fraction is cut to 32 digits.
template <class U>
FPDET_HD_INLINE constexpr U round_below_normal(U x, const PatternFormat<Binary32>& f, U random) {
  using Values = typename FloatsOf<U>::Values;
  using Integers = typename FloatsOf<U>::Integers;
  const U zero = x ^ x, sign = x & ~0x7fffffffu;
  // f.least is a power of two, and normal here: a shorter exponent has at most 7 bits.
  const float per_quantum = from_bits((uint32_t{254} << Binary32::kFraction) - f.least);
  const Values quanta = __builtin_bit_cast(Values, x ^ sign) * per_quantum;
  const Integers whole = convert_each<Integers>(quanta);
  const U fraction = convert_each<U>((quanta - convert_each<Values>(whole)) * 0x1p32f);
  const U up = fraction > ~aligned_random<32>(f.spec, random) ? zero + 1 : zero;
  const auto rounded = __builtin_bit_cast(Integers, __builtin_bit_cast(U, whole) + up);
  return __builtin_bit_cast(U, convert_each<Values>(rounded) * from_bits(f.least)) | sign;
}

/// x rounded: a pattern of Layout again. Shrinks = (f.least_field > 1): known beforehand, a loop
/// over numbers that keep their exponent range is short. R = random, of Stochastic alone; Binary32
/// has R 2^(32 - N), which must fit (bias.h).
template <Rounding R, bool Shrinks, class Layout, class U>
FPDET_HD_INLINE constexpr U round_pattern(U x, const PatternFormat<Layout>& f, U random) {
  using Word = typename Layout::Word;
  constexpr int kBits = Layout::kBits, kFraction = Layout::kFraction;
  constexpr Word kSign = Word{1} << (kBits - 1);
  constexpr Word kImplicit = Word{1} << kFraction;
  constexpr Word kInfinity = (kSign - 1) ^ (kImplicit - 1);
  const U zero = x ^ x;
  const U sign = x & kSign;
  const U magnitude = x ^ sign;
  const U negative = zero - (sign >> (kBits - 1));
  U rounded;
  if constexpr (Shrinks && R == Rounding::Stochastic && kBits == 32) {
    const U below = below_normal(x, static_cast<Word>(f.least_field << kFraction));
    const U normal = round_pattern<R, false>(x, f, random);
    return below != 0 ? round_below_normal(x, f, random) : normal;
  } else if constexpr (!Shrinks) {
    const U width = zero + static_cast<Word>(f.dropped);
    const U ones = zero + ((Word{1} << f.dropped) - 1);
    const U odd = (magnitude >> f.dropped) & 1;
    rounded =
        (magnitude + rounding_bias<kBits>(R, width, ones, odd, negative, f.spec, random)) & ~ones;
  } else {
    const U field = magnitude >> kFraction;
    const U least_field = zero + f.least_field;
    const U significand = (magnitude & (kImplicit - 1)) | (field == 0 ? zero : zero + kImplicit);
    const U lacking =
        less(field, least_field) ? least_field - field - (field == 0 ? zero + 1 : zero) : zero;
    const U drop = lacking + static_cast<Word>(f.dropped);
    // Far below the quantum digits are jammed so that all of them stay inside a word.
    const U width = lesser(drop, zero + static_cast<Word>(kBits - 2));
    const U cut = lesser(drop - width, zero + static_cast<Word>(kBits - 1));
    const U ones = ((zero + 1) << width) - 1;
    const U odd = (significand >> width) & 1;
    const U bias = rounding_bias<kBits>(R, width, ones, odd, negative, f.spec, random);
    const U near = (magnitude + bias) & ~ones;
    const U kept = significand >> cut;
    const U jammed = kept | ((kept << cut) == significand ? zero : zero + 1);
    // All bits set where a number below the quantum becomes it.
    const U away = ((jammed + bias) >> width) == 0 ? zero : ~zero;
    const U far = away & f.least;
    rounded = less(zero + static_cast<Word>(kFraction), drop) ? far : near;
  }
  U beyond = zero + f.beyond_positive;
  if constexpr (R == Rounding::Upward || R == Rounding::Downward) {
    beyond ^= negative & (f.beyond_positive ^ f.beyond_negative);
  }
  // The sum may have carried into the sign of what was infinite or NaN: those are replaced last.
  rounded = less(zero + f.max_finite, rounded) ? beyond : rounded;
  rounded = less(magnitude, zero + kInfinity) ? rounded : magnitude | f.special;
  return rounded | sign;
}

/// f(rounding and "does the exponent range shrink" as constants) for those of a PatternFormat.
template <class Layout, class F>
decltype(auto) with_pattern_format(const PatternFormat<Layout>& f, F&& call) {
  return with_rounding(f.rounding, [&]<Rounding R>() {
    return f.least_field > 1 ? call.template operator()<R, true>()
                             : call.template operator()<R, false>();
  });
}

}  // namespace fpdet::inline FPDET_TARGET
