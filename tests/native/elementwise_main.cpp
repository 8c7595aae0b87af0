// SPDX-License-Identifier: MIT
// The elementwise ops without Python or torch: by every instruction set of this machine, in pieces
// of any length, they equal the slow path bit for bit. Prints the slow path's digests. Buffers are
// exactly as long as they must be: a read beyond shows under ASan.
#include <type_traits>
#include <vector>

#include "core/words.h"
#include "cpu/dispatch.h"
#include "cpu/elementwise.h"
#include "digest.h"
#include "loops.h"

namespace {

using namespace fpdet;
using native::Digest;
using native::Failures;
using native::Generator;
using native::in_pieces;
using native::serial;

template <class T>
std::vector<T> values(Generator& random, int64_t count) {
  std::vector<T> result(static_cast<size_t>(count));
  for (T& x : result) {
    const double any = random.below(2) == 0 ? random.any() : random.near_one();
    store(soft_round(any, kFormatOf<T>, Rounding::NearestEven), x);
  }
  return result;
}

/// run(call, slow) leaves its results in buffers that it returns.
template <class Run>
void compare(const std::string& name, const Run& run, Failures& failures) {
  const auto expected = run(true);
  Digest digest;
  for (const auto& buffer : expected) {
    for (const auto& x : buffer) digest.add(widen(x));
  }
  std::string label = name;
  for (char& c : label) c = c == ' ' ? '_' : c;
  digest.print(label);
  for (const std::string& set : cpu::instruction_sets()) {
    cpu::set_instruction_set(set);
    const auto got = run(false);
    bool equal = true;
    for (size_t i = 0; i < got.size(); ++i) {
      for (size_t j = 0; j < got[i].size(); ++j) {
        equal = equal && native::same(widen(got[i][j]), widen(expected[i][j]));
      }
    }
    failures.expect(equal, set + ": " + name);
  }
  cpu::set_instruction_set("");
}

constexpr int64_t kCount = 203;

template <class T>
void round(Scalar scalar, const std::string& dtype, const std::string& format,
           const std::string& rounding, Failures& failures) {
  Generator random(1);
  const std::vector<T> x = values<T>(random, kCount);
  const ParsedRounding parsed = parse_rounding(rounding);
  for (const int64_t per_sample : {int64_t{1}, int64_t{29}, kCount}) {
    cpu::RoundCall call{scalar,
                        parse_format(format),
                        parsed.rounding,
                        parsed.stochastic,
                        {5, 6, kPassRound, 7},
                        kCount,
                        per_sample,
                        x.data(),
                        nullptr};
    if (!cpu::fast_round_covers(call)) return;
    compare(
        "round/" + dtype + "/" + format + "/" + rounding + "/" + std::to_string(per_sample),
        [&](bool slow) {
          std::vector<T> out(x.size());
          call.out = out.data();
          slow ? cpu::slow_round(call, serial) : cpu::fast_round(call, in_pieces<37>);
          return std::vector<std::vector<T>>{out};
        },
        failures);
    if (parsed.rounding != Rounding::Stochastic) return;
  }
}

/// Numbers of more than one block of random bits; with `stream`, so many that results go past the
/// caches.
template <class T>
void round_long(Scalar scalar, const std::string& dtype, const std::string& format,
                const std::string& rounding, bool stream, Failures& failures) {
  const int64_t count = stream ? (int64_t{1} << 22) + 77 : 1531;
  Generator random(3);
  const std::vector<T> x = values<T>(random, count);
  const ParsedRounding parsed = parse_rounding(rounding);
  cpu::RoundCall call{scalar,
                      parse_format(format),
                      parsed.rounding,
                      parsed.stochastic,
                      {5, 6, kPassRound, stream ? 1 : -1},  // those that wrap are numbers, too
                      count,
                      stream ? count : 999,
                      x.data(),
                      nullptr};
  if (!cpu::fast_round_covers(call)) return;
  compare(
      "round/" + dtype + "/" + format + "/" + rounding + (stream ? "/stream" : "/long"),
      [&](bool slow) {
        std::vector<T> out(x.size());
        call.out = out.data();
        slow ? cpu::slow_round(call, serial)
             : cpu::fast_round(call, stream ? serial : in_pieces<613>);
        return std::vector<std::vector<T>>{out};
      },
      failures);
}

/// Operands that lie as the result, and those of one row, one column or one number for all.
template <class T>
void binaries(Scalar scalar, const std::string& dtype, const std::string& words,
              const Arithmetic& arithmetic, const std::vector<T>& x, const std::vector<T>& y,
              Failures& failures) {
  constexpr int64_t kColumns = 29;
  const double number = soft_round(-2.7, arithmetic.format, Rounding::NearestEven);
  const cpu::BinaryOperand whole{x.data(), 0, 1, {kColumns}}, row{y.data(), 0, 1, {0}},
      column{y.data(), 0, 0, {kColumns}}, one{nullptr, number, 0, {0}};
  const auto check = [&](BinaryOperation operation, const char* name,
                         const cpu::BinaryOperand& second, bool swapped) {
    cpu::BinaryCall call{scalar,   operation, arithmetic, {5, 6, kPassAdd, 7}, kCount,
                         kColumns, kColumns,  1,          {kCount / kColumns}, whole,
                         second,   nullptr};
    if (swapped) std::swap(call.a, call.b);
    compare(
        kBinaryWords[static_cast<int>(operation)] + std::string(name) + "/" + dtype + "/" + words,
        [&](bool slow) {
          std::vector<T> out(x.size());
          call.out = out.data();
          slow ? cpu::slow_binary(call, serial) : cpu::fast_binary(call, in_pieces<37>);
          return std::vector<std::vector<T>>{out};
        },
        failures);
  };
  // Operations and ways to read meet nowhere: not every pair is needed.
  check(BinaryOperation::Add, "", {y.data(), 0, 1, {kColumns}}, false);
  check(BinaryOperation::Add, "/row", row, true);
  check(BinaryOperation::Subtract, "/column", column, false);
  check(BinaryOperation::Multiply, "/number", one, false);
  check(BinaryOperation::Divide, "", {y.data(), 0, 1, {kColumns}}, false);
  check(BinaryOperation::Divide, "/number", one, true);
}

template <class T>
void steps(Scalar scalar, const std::string& dtype, const std::string& words, Failures& failures) {
  Generator random(2);
  const std::vector<T> x = values<T>(random, kCount), y = values<T>(random, kCount),
                       z = values<T>(random, kCount);
  const Arithmetic arithmetic = parse_arithmetic(words).resolve(scalar == Scalar::Float64);
  if (!cpu::fast_sgd_covers({scalar, {}, arithmetic, {}, {}})) return;
  binaries(scalar, dtype, words, arithmetic, x, y, failures);
  for (const bool first : {false, true}) {
    const SgdScalars scalars{0.1, 0.9, 0.2, 1e-3, 3.0, true, first, first};
    compare(
        "sgd/" + dtype + "/" + words + (first ? "/first" : ""),
        [&](bool slow) {
          std::vector<std::vector<T>> p{x, z}, b{z, x};
          const cpu::SgdCall call{scalar,
                                  scalars,
                                  arithmetic,
                                  {5, 6, kPassSgd, 0},
                                  {{kCount, 0, p[0].data(), y.data(), b[0].data()},
                                   {0, 1, nullptr, nullptr, nullptr},
                                   {kCount, 2, p[1].data(), y.data(), b[1].data()}}};
          slow ? cpu::slow_sgd(call, serial) : cpu::fast_sgd(call, in_pieces<37>);
          return std::vector<std::vector<T>>{p[0], p[1], b[0], b[1]};
        },
        failures);
  }
}

/// As steps, of more elements.
template <class T>
void steps_long(Scalar scalar, const std::string& dtype, const std::string& words,
                Failures& failures) {
  constexpr int64_t kLong = 1531;
  Generator random(4);
  const std::vector<T> x = values<T>(random, kLong), y = values<T>(random, kLong),
                       z = values<T>(random, kLong);
  const Arithmetic arithmetic = parse_arithmetic(words).resolve(false);
  const SgdScalars scalars{0.1, 0.9, 0.2, 1e-3, 1.0, false, false, false};
  compare(
      "sgd/" + dtype + "/" + words + "/long",
      [&](bool slow) {
        std::vector<T> p = x, b = z;
        const cpu::SgdCall call{scalar,
                                scalars,
                                arithmetic,
                                {5, 6, kPassSgd, 0},
                                {{kLong, 3, p.data(), y.data(), b.data()}}};
        slow ? cpu::slow_sgd(call, serial) : cpu::fast_sgd(call, in_pieces<613>);
        return std::vector<std::vector<T>>{p, b};
      },
      failures);
}

}  // namespace

int main() {
  Failures failures;
  const auto every_dtype = [&](const auto& check) {
    check.template operator()<double>(Scalar::Float64, "float64");
    check.template operator()<float>(Scalar::Float32, "float32");
    check.template operator()<BFloat16>(Scalar::BFloat16, "bfloat16");
    check.template operator()<Float16>(Scalar::Float16, "float16");
  };
  every_dtype([&]<class T>(Scalar scalar, const char* dtype) {
    for (const char* rounding :
         {"nearest_even", "nearest_away", "toward_zero", "upward", "downward", "to_odd",
          "stochastic", "stochastic bits=8 variant=b", "stochastic bits=11 variant=c"}) {
      for (const char* format : {"float32", "bfloat16", "float16", "float8_e4m3fn", "e4p3"}) {
        round<T>(scalar, dtype, format, rounding, failures);
      }
    }
    for (const char* bits : {"", " bits=31 variant=b", " bits=16", " bits=11", " bits=8", " bits=3",
                             " bits=32 variant=b", " bits=8 variant=c"}) {
      for (const char* format : {"bfloat16", "float16", "float8_e4m3fn"}) {
        round_long<T>(scalar, dtype, format, std::string("stochastic") + bits, false, failures);
      }
      if constexpr (!std::is_same_v<T, double>) {
        steps_long<T>(scalar, dtype, std::string("stochastic sequential float32 fused") + bits,
                      failures);
      }
    }
    for (const char* rounding : {"nearest_even", "toward_zero", "upward", "downward"}) {
      for (const char* format : {" float32", " float64"}) {
        for (const char* fused : {" fused", " unfused"}) {
          steps<T>(scalar, dtype, std::string(rounding) + " sequential" + format + fused, failures);
        }
      }
    }
    // What no instruction does.
    for (const char* rounding : {"nearest_even", "nearest_away", "toward_zero", "upward",
                                 "downward", "to_odd", "stochastic"}) {
      const std::string word = rounding;
      const std::vector<std::string> options =
          word == "stochastic"
              ? std::vector<std::string>{"", " bits=8 variant=b", " bits=13 variant=c"}
              : std::vector<std::string>{""};
      for (const std::string& option : options) {
        for (const char* format :
             {" float32", " bfloat16", " float16", " float8_e4m3fn", " e4p3"}) {
          if (is_hardware(parse_rounding(word).rounding) && std::string(format) == " float32") {
            continue;
          }
          for (const char* fused : {" fused", " unfused"}) {
            steps<T>(scalar, dtype, word + " sequential" + format + fused + option, failures);
          }
        }
      }
    }
  });
  round_long<float>(Scalar::Float32, "float32", "float16", "stochastic bits=8", true, failures);
  round_long<BFloat16>(Scalar::BFloat16, "bfloat16", "float8_e5m2", "stochastic", true, failures);
  return failures.status();
}
