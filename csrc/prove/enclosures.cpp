// SPDX-License-Identifier: MIT
// What csrc/core knows of f(x): reads lines `FUNCTION PATTERN`, prints of each c, d.hi, d.lo and
// the error of its enclosure and the fast value, in hexadecimal; nothing but `number` where f(x) is
// one. For the tests that compare them with MPFR, and see what a planted mistake does.
#include <cstdio>
#include <iostream>
#include <string>

#include "core/environment.h"
#include "core/functions.h"

namespace {

using namespace fpdet;

template <Function F>
[[gnu::noinline]] void print(double x) {
  double number = 0.0;
  if (special_value(F, x, number)) {
    std::puts("number");
  } else if constexpr (!is_algebraic(F)) {
    const Enclosure f = enclosure<F>(x);
    std::printf("%a %a %a %a %a\n", f.c, f.d.hi, f.d.lo, f.error, fast_evaluate<F>(x));
  }
}

}  // namespace

int main() {
  const EnvironmentGuard guard(Rounding::NearestEven);
  std::string word;
  uint32_t pattern = 0;
  while (std::cin >> word >> pattern) {
#define FPDET_ROW(enumerator, name, stem, code) \
  if (word == name) print<Function::enumerator>(float32_to_double(pattern));
    FPDET_TRANSCENDENTAL_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
  }
  return 0;
}
