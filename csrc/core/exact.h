// SPDX-License-Identifier: MIT
// The exact sum: a fixed-point number wide enough for every sum of float64 products, rounded once.
//
// Limb i has weight 2^(32 i - 2176); a product (106 digits) is added to or subtracted from at most
// five limbs. Limbs are int64 and carries are deferred: 2^30 terms cannot overflow one, then
// carries are propagated, so any number of terms is fine. Infinities, NaN and signed zeros are
// counted aside and give what an IEEE addition of all terms gives; an exact zero has the sign of
// the terms if all are zeros of one sign, else + (- under downward). After Kulisch, and Neal's
// "Fast exact summation using small and large superaccumulators" (2015).
#pragma once

#include "arith.h"
#include "bits.h"
#include "config.h"
#include "format.h"
#include "random.h"
#include "rounding.h"
#include "soft.h"

namespace fpdet::inline FPDET_TARGET {

class ExactSum {
 public:
  // Back to the empty sum (+0); costs only the limbs that were used.
  FPDET_HD void clear() {
    for (int i = low_; i <= high_; ++i) limbs_[i] = 0;
    low_ = kLimbs;
    high_ = -1;
    pending_ = 0;
    seen_ = 0;
  }

  FPDET_HD void add_product(double a, double b) {
    if (count_special_product(a, b)) return;
    const int offset = low_bit(a) + low_bit(b) + kBias;
    const uint128 product = static_cast<uint128>(digits(a)) * digits(b);
    add_digits(product, offset, is_negative(a) != is_negative(b));
  }

  FPDET_HD void add(double x) {
    if (count_special(x)) return;
    add_digits(digits(x), low_bit(x) + kBias, is_negative(x));
  }

  // The sum of the terms of both.
  FPDET_HD void merge(const ExactSum& other) {
    if (pending_ + other.pending_ > kMaxPending) propagate();
    for (int i = other.low_; i <= other.high_; ++i) limbs_[i] += other.limbs_[i];
    touch(other.low_, other.high_);
    pending_ += other.pending_;
    seen_ |= other.seen_;
  }

  // The one rounding. The sum itself stays as it is (its carries are propagated): more terms may
  // follow, and the same sum may be rounded again.
  FPDET_HD double round(const Format& format, Rounding rounding, const StochasticSpec& spec = {},
                        uint32_t random = 0) {
    if ((seen_ & kNan) != 0 ||
        (seen_ & (kPlusInfinity | kMinusInfinity)) == (kPlusInfinity | kMinusInfinity)) {
      return canonical_nan();
    }
    if ((seen_ & (kPlusInfinity | kMinusInfinity)) != 0) {
      return soft_infinity((seen_ & kMinusInfinity) != 0, format);
    }
    propagate();
    const bool negative = high_ >= 0 && limbs_[high_] < 0;
    if (negative) negate();
    int top = high_;
    while (top >= low_ && limbs_[top] == 0) --top;
    double result = 0.0;
    if (top < low_) {
      const bool only_zeros = (seen_ & kNonZero) == 0;
      const bool plus = (seen_ & kPlusZero) != 0;
      const bool minus = (seen_ & kMinusZero) != 0;
      result = only_zeros && plus != minus ? zero(minus)
               : only_zeros && !plus       ? zero(false)  // no terms at all
                                           : cancelled_zero(rounding);
    } else {
      result = round_unpacked(leading_digits(top, negative), format, rounding, spec, random);
    }
    if (negative) negate();
    return result;
  }

  // The same, with the random bits that `arithmetic` asks for: of an event, or of the sum itself.
  FPDET_HD double round(const Format& format, const Arithmetic& arithmetic, RandomBits& random,
                        int64_t event) {
    constexpr Format kHashed = kFloat64;
    uint32_t bits = 0;
    if (arithmetic.rounding == Rounding::Stochastic) {
      bits = arithmetic.stochastic.keyed_by_operands
                 ? operand_bits(arithmetic.stochastic, Operation::Exact,
                                round(kHashed, Rounding::ToOdd))
                 : random.at(event);
    }
    return round(format, arithmetic.rounding, arithmetic.stochastic, bits);
  }

 private:
  static constexpr int kLimbs = 136;  // 2^-2176 to 2^2048, and 2^96 of carries
  static constexpr int kBias = 2176;  // 32 * 68, not less than 2 * 1074
  static constexpr int64_t kMaxPending = int64_t{1} << 30;
  static constexpr uint64_t kMask = 0xffffffffu;

  enum Seen : unsigned {
    kNan = 1,
    kPlusInfinity = 2,
    kMinusInfinity = 4,
    kPlusZero = 8,
    kMinusZero = 16,
    kNonZero = 32,
  };

  // |x| = digits(x) * 2^low_bit(x), x finite.
  FPDET_HD static uint64_t digits(double x) {
    const uint64_t magnitude = magnitude_bits(x);
    const uint64_t fraction = magnitude & ((uint64_t{1} << 52) - 1);
    return (magnitude >> 52) != 0 ? fraction | (uint64_t{1} << 52) : fraction;
  }
  FPDET_HD static int low_bit(double x) {
    const int field = static_cast<int>(magnitude_bits(x) >> 52);
    return (field != 0 ? field : 1) - 1075;
  }

  FPDET_HD void count_zero(bool negative) { seen_ |= negative ? kMinusZero : kPlusZero; }
  FPDET_HD void count_infinity(bool negative) {
    seen_ |= negative ? kMinusInfinity : kPlusInfinity;
  }

  FPDET_HD bool count_special(double x) {
    if (magnitude_bits(x) >= kInfinityBits) {
      if (is_nan(x)) {
        seen_ |= kNan;
      } else {
        count_infinity(is_negative(x));
      }
      return true;
    }
    if (is_zero(x)) {
      count_zero(is_negative(x));
      return true;
    }
    seen_ |= kNonZero;
    return false;
  }

  FPDET_HD bool count_special_product(double a, double b) {
    const bool negative = is_negative(a) != is_negative(b);
    if (magnitude_bits(a) >= kInfinityBits || magnitude_bits(b) >= kInfinityBits) {
      if (is_nan(a) || is_nan(b) || is_zero(a) || is_zero(b)) {
        seen_ |= kNan;
      } else {
        count_infinity(negative);
      }
      return true;
    }
    if (is_zero(a) || is_zero(b)) {
      count_zero(negative);
      return true;
    }
    seen_ |= kNonZero;
    return false;
  }

  FPDET_HD void touch(int first, int last) {
    if (first < low_) low_ = first;
    if (last > high_) high_ = last;
  }

  // +- value * 2^(offset - kBias), value below 2^106.
  FPDET_HD void add_digits(uint128 value, int offset, bool negative) {
    if (pending_ >= kMaxPending) propagate();
    ++pending_;
    const int first = offset / 32;
    const int shift = offset % 32;
    const uint128 low = value << shift;
    const int64_t sign = negative ? -1 : 1;
    const uint64_t over = shift != 0 ? static_cast<uint64_t>(value >> (128 - shift)) : 0;
    const uint64_t half0 = static_cast<uint64_t>(low);
    const uint64_t half1 = static_cast<uint64_t>(low >> 64);
    limbs_[first] += sign * static_cast<int64_t>(half0 & kMask);
    limbs_[first + 1] += sign * static_cast<int64_t>(half0 >> 32);
    limbs_[first + 2] += sign * static_cast<int64_t>(half1 & kMask);
    limbs_[first + 3] += sign * static_cast<int64_t>(half1 >> 32);
    limbs_[first + 4] += sign * static_cast<int64_t>(over);
    touch(first, first + 4);
  }

  // Afterwards every limb below the top is in [0, 2^32) and the top one carries the sign.
  FPDET_HD void propagate() {
    if (high_ < 0) return;
    int64_t carry = 0;
    int i = low_;
    for (; i < high_; ++i) {
      const int64_t value = limbs_[i] + carry;
      carry = value >> 32;
      limbs_[i] = static_cast<int64_t>(static_cast<uint64_t>(value) & kMask);
    }
    int64_t value = limbs_[i] + carry;
    while (value >= int64_t{1} << 32 || value < -(int64_t{1} << 32)) {
      limbs_[i] = static_cast<int64_t>(static_cast<uint64_t>(value) & kMask);
      value >>= 32;
      ++i;
    }
    limbs_[i] = value;
    high_ = i;
    pending_ = 1;
  }

  FPDET_HD void negate() {
    for (int i = low_; i <= high_; ++i) limbs_[i] = -limbs_[i];
    propagate();
  }

  // The number whose highest non-zero limb is `top`, all limbs in [0, 2^32).
  FPDET_HD Unpacked leading_digits(int top, bool negative) const {
    uint128 significand = 0;
    for (int i = top; i > top - 4; --i) significand = (significand << 32) | limb(i);
    const int shift = leading_zeros(significand);  // below 32
    const uint64_t next = limb(top - 4);
    significand = (significand << shift) | (next << shift >> 32);
    bool lost = ((next << shift) & kMask) != 0;
    for (int i = top - 5; i >= low_ && !lost; --i) lost = limbs_[i] != 0;
    return Unpacked{negative, 32 * top + 31 - kBias - shift, significand | (lost ? 1 : 0)};
  }
  FPDET_HD uint64_t limb(int i) const { return i >= low_ ? static_cast<uint64_t>(limbs_[i]) : 0; }

  int64_t limbs_[kLimbs] = {};
  int low_ = kLimbs;  // limbs outside [low_, high_] are zero
  int high_ = -1;
  int64_t pending_ = 0;  // terms since carries were propagated
  unsigned seen_ = 0;
};

}  // namespace fpdet::inline FPDET_TARGET
