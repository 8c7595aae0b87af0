// SPDX-License-Identifier: MIT
// The elementary functions without Python or torch: by every instruction set of this machine they
// equal the definition bit for bit. Prints the definition's digests. Buffers are exactly as long as
// they must be: a read beyond shows under ASan.
#include <string>
#include <vector>

#include "core/words.h"
#include "cpu/dispatch.h"
#include "cpu/unary.h"
#include "digest.h"
#include "loops.h"

namespace {

using namespace fpdet;
using native::Digest;
using native::Failures;
using native::Generator;
using native::serial;

constexpr int64_t kCount = 331;  // more than one piece of a kernel, and a rest

/// By turns any value and one between -16 and 16.
template <class T>
std::vector<T> values(Generator& random) {
  std::vector<T> result(kCount);
  for (T& x : result) {
    const double any = random.below(2) == 0 ? random.any() : random.near_one() * 0.00390625;
    store(soft_round(any, kFormatOf<T>, Rounding::NearestEven), x);
  }
  return result;
}

template <class T>
std::vector<T> run(cpu::UnaryCall call, const std::vector<T>& x, bool definition) {
  std::vector<T> out(x.size());
  call.x = x.data();
  call.out = out.data();
  definition ? cpu::slow_unary(call, serial) : cpu::unary(call, serial);
  return out;
}

template <class T>
void check(const std::string& name, const cpu::UnaryCall& call, Failures& failures) {
  Generator random(1);
  const std::vector<T> x = values<T>(random);
  const std::vector<T> expected = run(call, x, true);
  Digest digest;
  for (const T& y : expected) digest.add(widen(y));
  digest.print(name);
  for (const std::string& set : cpu::instruction_sets()) {
    cpu::set_instruction_set(set);
    const std::vector<T> got = run(call, x, false);
    bool equal = true;
    for (size_t i = 0; i < got.size(); ++i) {
      equal = equal && native::same(widen(got[i]), widen(expected[i]));
    }
    failures.expect(equal, set + ": " + name);
  }
  cpu::set_instruction_set("");
}

template <class T>
void check_all(Scalar scalar, const std::string& dtype, Function function, const std::string& word,
               Failures& failures) {
  for (const char* rounding :
       {"nearest_even", "nearest_away", "toward_zero", "upward", "downward", "to_odd",
        "stochastic bits=8 variant=b", "stochastic bits=32 variant=c"}) {
    for (const char* format : {"float32", "float64", "e5p7"}) {
      const ParsedRounding parsed = parse_rounding(rounding);
      cpu::UnaryCall call;
      call.function = function;
      call.scalar = scalar;
      call.arithmetic = {parsed.rounding, parse_format(format), true, parsed.stochastic};
      if (!unary_covers(function, scalar, call.arithmetic.format)) continue;
      call.draw = {5, 6, 9, 7};
      call.count = kCount;
      call.per_sample = 29;
      std::string name = word + "/" + dtype + "/" + format + "/" + rounding;
      for (char& c : name) c = c == ' ' ? '_' : c;
      check<T>(name, call, failures);
    }
  }
}

}  // namespace

int main() {
  Failures failures;
#define FPDET_ROW(enumerator, word, stem, code)                                            \
  check_all<double>(Scalar::Float64, "float64", Function::enumerator, word, failures);     \
  check_all<float>(Scalar::Float32, "float32", Function::enumerator, word, failures);      \
  check_all<BFloat16>(Scalar::BFloat16, "bfloat16", Function::enumerator, word, failures); \
  check_all<Float16>(Scalar::Float16, "float16", Function::enumerator, word, failures);
  FPDET_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
  return failures.status();
}
