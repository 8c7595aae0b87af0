// SPDX-License-Identifier: MIT
// From the accumulator's format to that of stored elements. The rounding is a function of a vector,
// so that the loops around it are compiled once, not once for each rounding.
#pragma once

#include <type_traits>

#include "elementwise_task.h"
#include "lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class T>
using LayoutOf = std::conditional_t<sizeof(T) == 4, Binary32, Binary64>;
template <class Layout>
using PatternsOf = LanesN<typename Layout::Word, kFull<typename Layout::Word>>;

template <class Layout, Rounding R, bool Shrinks>
[[gnu::noinline]] PatternsOf<Layout> round_vector(PatternsOf<Layout> x,
                                                  const PatternFormat<Layout>& format,
                                                  PatternsOf<Layout> random) {
  return round_pattern<R, Shrinks>(x, format, random);
}

/// Rounds vectors of accumulators of type T.
template <class T>
class Converter {
 public:
  using Layout = LayoutOf<T>;
  using Patterns = PatternsOf<Layout>;
  using Values = LanesN<T, kFull<T>>;

  explicit Converter(const Conversion& conversion)
      : format_(format_of(conversion)), round_(function_for(format_)) {}

  FPDET_INLINE Values operator()(Values x, Patterns random = Patterns{}) const {
    return reinterpret<Values>(round_(reinterpret<Patterns>(x), format_, random));
  }

 private:
  using Function = Patterns (*)(Patterns, const PatternFormat<Layout>&, Patterns);

  static const PatternFormat<Layout>& format_of(const Conversion& conversion) {
    if constexpr (sizeof(T) == 4) {
      return conversion.format32;
    } else {
      return conversion.format64;
    }
  }
  static Function function_for(const PatternFormat<Layout>& format) {
    return with_pattern_format(format, []<Rounding R, bool Shrinks>() -> Function {
      // Float32 lanes are the hardware's; no narrow format has the exponents of float64.
      if constexpr (sizeof(T) == 4 ? is_hardware(R) : Shrinks) {
        return round_vector<Layout, R, Shrinks>;
      } else {
        return nullptr;
      }
    });
  }

  PatternFormat<Layout> format_;
  Function round_;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
