// SPDX-License-Identifier: MIT
// Sums, products of matrices and sums of gathered lines without Python or torch: by every
// instruction set of this machine, several tilings and every method, they equal the slow path bit
// for bit. Prints the slow path's digests. Buffers are exactly as long as they must be: a read
// beyond shows under ASan.
#include <string>
#include <vector>

#include "core/words.h"
#include "cpu/dispatch.h"
#include "cpu/fast_contraction.h"
#include "cpu/gather_sum.h"
#include "digest.h"
#include "loops.h"
#include "primitives.h"

namespace {

using namespace fpdet;
using native::Digest;
using native::Failures;
using native::Generator;
using native::matmuls;
using native::Primitive;
using native::serial;
using native::sums;

template <class T>
std::vector<T> values(Generator& random, int64_t count) {
  std::vector<T> result(static_cast<size_t>(count));
  for (T& x : result) {
    const double any = random.below(8) == 0 ? random.any() : random.near_one();
    store(soft_round(any, kFormatOf<T>, Rounding::NearestEven), x);
  }
  return result;
}

template <class T>
void print(const std::string& name, const std::vector<T>& result) {
  Digest digest;
  for (const T& x : result) digest.add(widen(x));
  std::string label = name;
  for (char& c : label) c = c == ' ' ? '_' : c;
  digest.print(label);
}

template <class T>
bool equal(const std::vector<T>& a, const std::vector<T>& b) {
  bool same = true;
  for (size_t i = 0; i < a.size(); ++i) same = same && native::same(widen(a[i]), widen(b[i]));
  return same;
}

template <class T>
void check(const Primitive& test, Scalar scalar, const std::string& dtype, const std::string& words,
           Failures& failures) {
  const ParsedArithmetic parsed = parse_arithmetic(words);
  Generator random(3);
  std::vector<T> left = values<T>(random, test.left);
  const std::vector<T> right = values<T>(random, test.right), bias = values<T>(random, test.bias);
  if (!test.problem.product) store(1.0, left[0]);
  cpu::ContractionCall call;
  call.problem = test.problem;
  call.scalar = scalar;
  call.order = parsed.order;
  call.arithmetic = parsed.resolve(scalar == Scalar::Float64);
  call.draw = {5, 6, 7, 8};
  call.left = left.data();
  call.right = right.data();
  call.bias = test.bias > 0 ? bias.data() : nullptr;
  const std::string name = std::string(test.name) + "/" + dtype + "/" + words;
  const auto run = [&](const auto& way) {
    std::vector<T> out(static_cast<size_t>(test.problem.outputs()));
    call.out = out.data();
    way();
    return out;
  };
  const std::vector<T> slow = run([&] { cpu::slow_contraction(call, serial); });
  print(name, slow);
  for (const std::string& set : cpu::instruction_sets()) {
    cpu::set_instruction_set(set);
    std::vector<std::string> methods = cpu::contraction_methods();
    methods.emplace_back("");
    for (const int64_t tile : {0, 1, 5}) {
      for (const std::string& method : methods) {
        cpu::set_knobs({tile, tile, tile, tile, method});
        if (!cpu::fast_contraction_covers(call)) continue;
        const std::vector<T> fast = run([&] { cpu::fast_contraction(call, serial); });
        failures.expect(equal(slow, fast),
                        set + ", tiles " + std::to_string(tile) + ", " + method + ": " + name);
      }
    }
  }
  cpu::set_knobs({});
  cpu::set_instruction_set("");
}

template <class T>
void gather(Scalar scalar, const std::string& dtype, const std::string& words, Failures& failures) {
  const ParsedArithmetic parsed = parse_arithmetic(words);
  for (const int64_t columns : {int64_t{1}, int64_t{70}}) {
    for (const bool weighted : {false, true}) {
      Generator random(4);
      const std::vector<T> x = values<T>(random, 9 * columns), weights = values<T>(random, 40);
      std::vector<int64_t> indices(40);
      for (int64_t& i : indices) i = static_cast<int64_t>(random.below(9));
      const std::vector<int64_t> offsets{0, 1, 1, 20, 38, 40};
      cpu::GatherSumCall call;
      call.scalar = scalar;
      call.order = parsed.order;
      call.arithmetic = parsed.resolve(scalar == Scalar::Float64);
      call.draw = {5, 6, 7, 8};
      call.sums = 5;
      call.columns = columns;
      call.terms = 40;
      call.offsets = offsets.data();
      call.indices = indices.data();
      call.x = x.data();
      call.x_line = columns;
      call.weights = weighted ? weights.data() : nullptr;
      const std::string name = "gather_sum" + std::to_string(columns) +
                               (weighted ? "_weighted/" : "/") + dtype + "/" + words;
      std::vector<T> slow(static_cast<size_t>(5 * columns)), fast = slow;
      call.out = slow.data();
      cpu::slow_gather_sum(call, serial);
      print(name, slow);
      for (const std::string& set : cpu::instruction_sets()) {
        cpu::set_instruction_set(set);
        if (!cpu::fast_gather_sum_covers(call)) continue;
        call.out = fast.data();
        cpu::fast_gather_sum(call, serial);
        failures.expect(equal(slow, fast), set + ": " + name);
      }
      cpu::set_instruction_set("");
    }
  }
}

}  // namespace

int main() {
  std::vector<Primitive> cases = sums();
  for (const Primitive& test : matmuls()) cases.push_back(test);
  Failures failures;
  for (const char* words :
       {"nearest_even sequential auto fused", "downward blocked(16) auto fused",
        "upward blocked(512) auto unfused", "toward_zero split(2) auto fused",
        "downward pairwise auto unfused", "nearest_even strided(4) auto fused",
        "upward shuffled(5) auto fused", "stochastic blocked(7) auto fused bits=8",
        "nearest_even sequential bfloat16 unfused", "upward exact",
        "stochastic sequential float16 fused keyed_by=operands"}) {
    const auto every_dtype = [&](const auto& run) {
      run.template operator()<double>(Scalar::Float64, "float64");
      run.template operator()<float>(Scalar::Float32, "float32");
      run.template operator()<BFloat16>(Scalar::BFloat16, "bfloat16");
    };
    every_dtype([&]<class T>(Scalar scalar, const char* dtype) {
      for (const Primitive& test : cases) check<T>(test, scalar, dtype, words, failures);
      gather<T>(scalar, dtype, words, failures);
    });
  }
  return failures.status();
}
