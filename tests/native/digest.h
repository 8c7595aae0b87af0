// SPDX-License-Identifier: MIT
// Golden digests: operands from an integer generator, results hashed by their bits (NaNs as one).
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>

#include "core/bits.h"

namespace native {

/// splitmix64 (Steele, Lea, Flood 2014).
class Generator {
 public:
  explicit Generator(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(next() >> 1) % n; }

  /// Any pattern, or: a subnormal, a power of two, a small integer, a value near 1, a special
  /// value.
  double any() {
    const uint64_t bits = next();
    const uint64_t sign = bits & fpdet::kSignBit;
    const uint64_t fraction = bits & ((uint64_t{1} << 52) - 1);
    switch (below(8)) {
      case 0:
        return fpdet::from_bits(bits);
      case 1:
        return fpdet::from_bits(sign | (fraction >> below(52)));
      case 2:
        return fpdet::from_bits(sign | (static_cast<uint64_t>(1 + below(2046)) << 52));
      case 3:
        return static_cast<double>(below(65) - 32);
      case 4: {
        const double specials[] = {0.0,      -0.0,  1.0,     0x1.fffffep127,
                                   0x1p-126, 448.0, 65504.0, 65520.0};
        return specials[below(8)];
      }
      default:
        return near_one();
    }
  }
  /// Exponent in [-12, 12], full significand.
  double near_one() {
    const uint64_t bits = next();
    const uint64_t exponent = static_cast<uint64_t>(1023 - 12 + below(25));
    return fpdet::from_bits((bits & ((uint64_t{1} << 52) - 1)) | (exponent << 52) |
                            (bits & fpdet::kSignBit));
  }

 private:
  uint64_t state_;
};

/// FNV-1a, 64 bits.
class Digest {
 public:
  void add(double x) {
    const uint64_t bits = fpdet::is_nan(x) ? fpdet::kCanonicalNanBits : fpdet::to_bits(x);
    for (int byte = 0; byte < 8; ++byte) {
      value_ = (value_ ^ ((bits >> (8 * byte)) & 0xff)) * 0x100000001b3u;
    }
  }
  void print(const std::string& name) const {
    std::printf("%s %016" PRIx64 "\n", name.c_str(), value_);
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

/// Bit equality, all NaNs alike.
inline bool same(double x, double y) {
  return fpdet::to_bits(x) == fpdet::to_bits(y) || (fpdet::is_nan(x) && fpdet::is_nan(y));
}

/// Counts what went wrong, and says the first few if it speaks.
class Failures {
 public:
  explicit Failures(bool speaks = true) : speaks_(speaks) {}

  void expect(bool condition, const std::string& what) {
    if (condition) return;
    if (++count_ <= 10 && speaks_) std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  }
  int status() const { return count_ == 0 ? 0 : 1; }

 private:
  bool speaks_;
  int count_ = 0;
};

}  // namespace native
