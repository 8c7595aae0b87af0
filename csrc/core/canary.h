// SPDX-License-Identifier: MIT
// The canary (host): does this translation unit, with the flags it was compiled with and on the
// processor it runs on, compute as IEEE 754 says? Flags alone have fooled other projects, so the
// witnesses are bits: contraction, subnormals, division, square root and the four hardware modes of
// +, *, / and fma. Each expected value is from soft.h or written out in hexadecimal.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "arith.h"
#include "bits.h"
#include "config.h"
#include "environment.h"
#include "format.h"
#include "soft.h"
#include "words.h"

namespace fpdet::inline FPDET_TARGET {

namespace canary_detail {

// volatile operands: the processor computes, not the compiler; noinline: the guard comes first.
// product_plus is written as the compiler would have to see it to contract it.
template <class T>
__attribute__((noinline)) T product_plus(volatile const T* v) {
  const T a = v[0], b = v[1], c = v[2];
  return a * b + c;
}
template <class T>
__attribute__((noinline)) T add(volatile const T* v) {
  return ieee_add<T>(v[0], v[1]);
}
template <class T>
__attribute__((noinline)) T multiply(volatile const T* v) {
  return ieee_mul<T>(v[0], v[1]);
}
template <class T>
__attribute__((noinline)) T divide(volatile const T* v) {
  return v[0] / v[1];
}
template <class T>
__attribute__((noinline)) T fma(volatile const T* v) {
  return ieee_fma<T>(v[0], v[1], v[2]);
}
template <class T>
__attribute__((noinline)) T root(volatile const T* v) {
  return std::sqrt(v[0]);
}
__attribute__((noinline)) inline float to_float(volatile const double* v) {
  return static_cast<float>(v[0]);
}

template <class T>
void check(const std::string& type, const Format& format, std::vector<std::string>& failures) {
  const T ulp = std::numeric_limits<T>::epsilon();
  const T least = std::numeric_limits<T>::denorm_min();
  const T smallest = std::numeric_limits<T>::min();
  const auto expect = [&](const std::string& name, T got, double want) {
    if (to_bits(static_cast<double>(got)) != to_bits(want)) failures.push_back(name + "_" + type);
  };
  {
    const EnvironmentGuard guard(Rounding::NearestEven);
    // (1 + u)(1 - u) - 1 is -u^2 if contracted and 0 if the product is rounded first.
    const volatile T contraction[] = {1 + ulp, 1 - ulp, -1};
    expect("no_contraction", product_plus<T>(contraction), 0.0);
    const volatile T subnormals[] = {least, least};
    expect("subnormal_operands_and_results", add<T>(subnormals), 2 * static_cast<double>(least));
    const volatile T underflow[] = {smallest, static_cast<T>(0.5)};
    expect("gradual_underflow", multiply<T>(underflow), static_cast<double>(smallest) / 2);
    const volatile T third[] = {1, 3};
    expect("division", divide<T>(third), soft_div(1, 3, format, Rounding::NearestEven));
    const volatile T two[] = {2};
    expect("square_root", root<T>(two),
           sizeof(T) == 4 ? from_bits(uint64_t{0x3ff6a09e60000000u})
                          : from_bits(uint64_t{0x3ff6a09e667f3bcdu}));
  }
  for (const Rounding r :
       {Rounding::NearestEven, Rounding::TowardZero, Rounding::Upward, Rounding::Downward}) {
    // Both signs, and a third operand far below the product: its digits only tip the rounding.
    for (const T sign : {static_cast<T>(1), static_cast<T>(-1)}) {
      const volatile T v[] = {sign * (1 + 3 * ulp), 1 + 5 * ulp, sign * ulp * ulp / 8};
      const double a = v[0], b = v[1], c = v[2];
      const EnvironmentGuard guard(r);
      const std::string mode = to_string(r);
      expect("fma_" + mode, fma<T>(v), soft_fma(a, b, c, format, r));
      expect("multiply_" + mode, multiply<T>(v), soft_mul(a, b, format, r));
      expect("divide_" + mode, divide<T>(v), soft_div(a, b, format, r));
      const volatile T sum[] = {v[0], v[2]};
      expect("add_" + mode, add<T>(sum), soft_add(a, c, format, r));
    }
  }
}

}  // namespace canary_detail

// The names of what fails; empty if all is well.
inline std::vector<std::string> canary() {
  std::vector<std::string> failures;
  canary_detail::check<float>("float32", kFloat32, failures);
  canary_detail::check<double>("float64", kFloat64, failures);
  for (const Rounding r :
       {Rounding::NearestEven, Rounding::TowardZero, Rounding::Upward, Rounding::Downward}) {
    const volatile double third[] = {0x1.5555555555555p-2};
    const EnvironmentGuard guard(r);
    if (to_bits(static_cast<double>(canary_detail::to_float(third))) !=
        to_bits(soft_round(third[0], kFloat32, r))) {
      failures.push_back("conversion_" + to_string(r));
    }
  }
  return failures;
}

}  // namespace fpdet::inline FPDET_TARGET
