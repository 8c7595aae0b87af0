// SPDX-License-Identifier: MIT
// Adam's step without Python or torch: by every instruction set of this machine, in pieces of any
// length, it equals the definition bit for bit. Prints the definition's digests. Buffers are
// exactly as long as they must be: a read beyond shows under ASan.
#include <algorithm>
#include <string>
#include <vector>

#include "core/words.h"
#include "cpu/adam.h"
#include "cpu/dispatch.h"
#include "digest.h"
#include "loops.h"

namespace {

using namespace fpdet;
using native::Digest;
using native::Failures;
using native::Generator;
using native::in_pieces;
using native::serial;

constexpr int64_t kCount = 203;

template <class T>
struct State {
  std::vector<T> parameter, average, square, most;
};

template <class T>
State<T> state(Generator& random) {
  const auto values = [&](bool positive) {
    std::vector<T> result(static_cast<size_t>(kCount));
    for (T& x : result) {
      const double any = random.below(2) == 0 ? random.any() : random.near_one();
      store(soft_round(positive ? magnitude(any) : any, kFormatOf<T>, Rounding::NearestEven), x);
    }
    return result;
  };
  return {values(false), values(false), values(true), values(true)};
}

template <class T>
void check(const std::string& name, cpu::AdamCall call, Failures& failures) {
  Generator random(1);
  const State<T> given = state<T>(random);
  const std::vector<T> gradient = state<T>(random).parameter;
  const auto run = [&](bool definition) {
    State<T> s = given;
    T* const most = call.scalars.amsgrad ? s.most.data() : nullptr;
    call.tensors = {
        {0, 0},
        {kCount, 1, s.parameter.data(), gradient.data(), s.average.data(), s.square.data(), most}};
    definition ? cpu::slow_adam(call, serial) : cpu::fast_adam(call, in_pieces<37>);
    std::vector<double> results;
    for (const auto* tensor : {&s.parameter, &s.average, &s.square, &s.most}) {
      for (const T& x : *tensor) results.push_back(widen(x));
    }
    return results;
  };
  const std::vector<double> expected = run(true);
  Digest digest;
  for (const double x : expected) digest.add(x);
  digest.print(name);
  if (!cpu::fast_adam_covers(call)) return;
  for (const std::string& set : cpu::instruction_sets()) {
    cpu::set_instruction_set(set);
    const std::vector<double> got = run(false);
    failures.expect(std::equal(got.begin(), got.end(), expected.begin(), native::same),
                    set + ": " + name);
  }
  cpu::set_instruction_set("");
}

template <class T>
void check_all(Scalar scalar, const std::string& dtype, Failures& failures) {
  // Adam, and: AMSGrad, AdamW, the other branch of the average.
  const AdamScalars adam{0.1, 0.9, 0.99, 0.81, 0.9801, 1e-3, 1e-2, false, true, false};
  const AdamScalars other{0.1, 0.3, 0.99, 0.09, 0.9801, 0.0, 1e-2, true, false, true};
  for (const char* rounding :
       {"nearest_even", "nearest_away", "toward_zero", "upward", "downward", "to_odd", "stochastic",
        "stochastic bits=8 variant=b", "stochastic bits=13 variant=c"}) {
    const std::string word = rounding;
    const size_t cut = std::min(word.find(' '), word.size());
    for (const char* format :
         {"float64", "float32", "bfloat16", "float16", "float8_e4m3fn", "e4p3"}) {
      for (const char* fused : {"fused", "unfused"}) {
        const std::string words =
            word.substr(0, cut) + " sequential " + format + " " + fused + word.substr(cut);
        const Arithmetic arithmetic = parse_arithmetic(words).resolve(scalar == Scalar::Float64);
        std::string name = "adam/" + dtype + "/" + words;
        std::replace(name.begin(), name.end(), ' ', '_');
        const cpu::Draw draw{5, 6, kPassAdam, 0};
        check<T>(name, {scalar, adam, arithmetic, draw, {}}, failures);
        check<T>(name + "/amsgrad", {scalar, other, arithmetic, draw, {}}, failures);
      }
    }
  }
}

}  // namespace

int main() {
  Failures failures;
  check_all<double>(Scalar::Float64, "float64", failures);
  check_all<float>(Scalar::Float32, "float32", failures);
  check_all<BFloat16>(Scalar::BFloat16, "bfloat16", failures);
  check_all<Float16>(Scalar::Float16, "float16", failures);
  return failures.status();
}
