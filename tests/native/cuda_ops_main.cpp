// SPDX-License-Identifier: MIT
// The GPU kernels of all ops but contractions without a GPU: emulated launches (emulator.h) equal
// the CPU's slow path bit for bit, with few and with many multiprocessors, threads in either
// sequence. Seed and counter of random bits lie, by turns, in the call and in memory.
#include <algorithm>
#include <string>
#include <vector>

#include "convolutions.h"
#include "core/words.h"
#include "cpu/adam.h"
#include "cpu/elementwise.h"
#include "cpu/gather_sum.h"
#include "cpu/unary.h"
#include "cuda/adam.h"
#include "cuda/elementwise.h"
#include "cuda/gather_sum.h"
#include "cuda/random_words.h"
#include "cuda/sgd.h"
#include "cuda/unary.h"
#include "emulator.h"

namespace {

using namespace fpdet;
using namespace native;

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](T x, T y) { return same(widen(x), widen(y)); });
}

/// Expects of `op(how)`, which computes by how(call) and returns all that it has written, the bits
/// that `slow` gives under every geometry of `fast`.
template <class Op, class Slow, class Fast>
void compare(const std::string& name, const Op& op, const Slow& slow, const Fast& fast,
             Failures& failures) {
  const auto expected = op(slow);
  int64_t counter[] = {5, 6};
  for (const Geometry& geometry : kGeometries) {
    const auto got = op([&](auto call) {
      if (geometry.backwards) {  // as a tensor on the device
        call.draw.seed = call.draw.counter = 99;
        call.draw.on_device = counter;
      }
      EmulatedMachine machine(geometry.multiprocessors, geometry.backwards);
      fast(call, machine);
    });
    failures.expect(same_bits(expected, got), name + (geometry.backwards ? " backwards" : ""));
  }
}

template <class T>
void rounds(Scalar scalar, const std::string& words, const Arithmetic& arithmetic,
            Failures& failures) {
  constexpr int64_t kCount = 203;
  Generator random(2);
  const std::vector<T> x = values<T>(random, kCount, true);
  compare(
      "round " + words,
      [&](const auto& how) {
        std::vector<T> out(kCount);
        how(RoundCall{scalar,
                      arithmetic.format,
                      arithmetic.rounding,
                      arithmetic.stochastic,
                      {5, 6, kPassRound, 7},
                      kCount,
                      29,
                      x.data(),
                      out.data()});
        return out;
      },
      [](const RoundCall& call) { cpu::slow_round(call, serial); },
      [](const RoundCall& call, auto& machine) { cuda::round_elements(call, machine); }, failures);
}

/// Every operation; operands whole, of one column, one row, one number.
template <class T>
void binaries(Scalar scalar, const std::string& words, const Arithmetic& arithmetic,
              Failures& failures) {
  constexpr int64_t kColumns = 13, kRows = 6, kCount = kRows * kColumns;
  Generator random(3);
  const std::vector<T> x = values<T>(random, kCount, true), y = values<T>(random, kCount, true);
  const double number = soft_round(-2.7, arithmetic.format, Rounding::NearestEven);
  const BinaryOperand whole{x.data(), 0, 1, {3 * kColumns, kColumns}};
  const BinaryOperand others[] = {{y.data(), 0, 1, {kColumns, 2 * kColumns}},
                                  {y.data(), 0, 0, {3, 0}},
                                  {y.data(), 0, 1, {0, kColumns}},
                                  {nullptr, number, 0, {}}};
  for (int way = 0; way < 4; ++way) {
    const auto operation = static_cast<BinaryOperation>(way);
    for (const bool swapped : {false, true}) {
      compare(
          kBinaryWords[way] + (" " + words),
          [&](const auto& how) {
            std::vector<T> out(kCount);
            BinaryCall call{scalar,         operation, arithmetic,  {5, 6, kPassAdd, 7},
                            kCount,         kCount,    kColumns,    2,
                            {kRows / 3, 3}, whole,     others[way], out.data()};
            call.per_sample = kCount / 2;
            if (swapped) std::swap(call.a, call.b);
            how(call);
            return out;
          },
          [](const BinaryCall& call) { cpu::slow_binary(call, serial); },
          [](const BinaryCall& call, auto& machine) { cuda::binary_elements(call, machine); },
          failures);
    }
  }
}

constexpr int64_t kSgdChunk = cuda::TensorTable<SgdTensor>::kChunk;

template <class T>
void sgd_steps(Scalar scalar, const std::string& words, const Arithmetic& arithmetic,
               Failures& failures) {
  constexpr int64_t kLong = 2 * kSgdChunk + 5;
  Generator random(4);
  const std::vector<T> x = values<T>(random, kLong, true), y = values<T>(random, kLong, true),
                       z = values<T>(random, kLong, true);
  for (const bool first : {false, true}) {
    const SgdScalars scalars{0.1, first ? 0.0 : 0.9, 0.2, 1e-3, 3.0, true, first, first};
    const auto step = [&](const auto& how) {
      std::vector<T> p[] = {x, z}, b[] = {z, x};
      const bool has_buffer = scalars.momentum != 0;
      SgdCall call{scalar, scalars, arithmetic, {5, 6, kPassSgd, 0}, {}};
      // One place further for the second: a pack's address there is not a multiple of its size.
      call.tensors = {{kLong, 0, p[0].data(), y.data(), has_buffer ? b[0].data() : nullptr},
                      {0, 1, nullptr, nullptr, nullptr},
                      {203, 2, p[1].data() + 1, y.data(), has_buffer ? b[1].data() : nullptr}};
      how(call);
      for (const auto* more : {&p[1], &b[0], &b[1]}) {
        p[0].insert(p[0].end(), more->begin(), more->end());
      }
      return p[0];
    };
    const auto slow = [](const SgdCall& call) { cpu::slow_sgd(call, serial); };
    for (const bool hardware : {false, true}) {
      compare(
          "sgd " + words, step, slow,
          [&](const SgdCall& call, auto& machine) {
            cuda::sgd(call, machine, hardware && cuda::sgd_on_hardware(call));
          },
          failures);
    }
  }
}

/// Adam, and: AMSGrad, AdamW, the other branch of the average.
template <class T>
void adam_steps(Scalar scalar, const std::string& words, const Arithmetic& arithmetic,
                Failures& failures) {
  constexpr int64_t kCount = 331;
  Generator random(5);
  const std::vector<T> p = values<T>(random, kCount, true), g = values<T>(random, kCount, true),
                       m = values<T>(random, kCount, true);
  std::vector<T> v = values<T>(random, kCount, true);
  for (T& value : v) store(magnitude(widen(value)), value);
  for (const AdamScalars& scalars :
       {AdamScalars{0.1, 0.9, 0.99, 0.81, 0.9801, 1e-3, 1e-2, false, true, false},
        AdamScalars{0.1, 0.3, 0.99, 0.09, 0.9801, 0.0, 1e-2, true, false, true}}) {
    compare(
        "adam " + words,
        [&](const auto& how) {
          std::vector<T> state[] = {p, m, v, v};
          T* const most = scalars.amsgrad ? state[3].data() : nullptr;
          AdamCall call{scalar, scalars, arithmetic, {5, 6, kPassAdam, 0}, {}};
          call.tensors = {
              {0, 0},
              {kCount, 1, state[0].data(), g.data(), state[1].data(), state[2].data(), most}};
          how(call);
          for (int i = 1; i < 4; ++i) {
            state[0].insert(state[0].end(), state[i].begin(), state[i].end());
          }
          return state[0];
        },
        [](const AdamCall& call) { cpu::slow_adam(call, serial); },
        [](const AdamCall& call, auto& machine) { cuda::adam_elements(call, machine); }, failures);
  }
}

/// More tensors than a launch takes.
void many_tensors(Failures& failures) {
  constexpr size_t kTensors = cuda::TensorTable<SgdTensor>::kMost + 3;
  const std::vector<float> gradient(5, 0.3f);
  const auto step = [&](const auto& run) {
    std::vector<float> p(5 * kTensors, 1.7f);
    SgdCall call;
    call.arithmetic.rounding = Rounding::Stochastic;
    for (size_t i = 0; i < kTensors; ++i) {
      call.tensors.push_back({static_cast<int64_t>(i % 6), static_cast<uint32_t>(i), &p[5 * i],
                              gradient.data(), nullptr});
    }
    run(call);
    return p;
  };
  EmulatedMachine machine(2, false);
  const auto found = step([&](const SgdCall& call) { cuda::sgd(call, machine, false); });
  failures.expect(same_bits(step([](const SgdCall& c) { cpu::slow_sgd(c, serial); }), found),
                  "sgd of many tensors");
  failures.expect(machine.launches() == 2, "one launch for a table of tensors");
}

template <class T>
void functions(Scalar scalar, const std::string& words, const Arithmetic& arithmetic,
               Failures& failures) {
  constexpr int64_t kCount = 67;
  Generator random(6);
  std::vector<T> x(kCount);
  for (T& value : x) {
    const double any = random.below(2) == 0 ? random.any() : random.near_one() * 0.00390625;
    store(soft_round(any, kFormatOf<T>, Rounding::NearestEven), value);
  }
  const auto check = [&](Function function, const char* word) {
    if (!unary_covers(function, scalar, arithmetic.format)) return;
    compare(
        word + (" " + words),
        [&](const auto& how) {
          std::vector<T> out(kCount);
          how(UnaryCall{
              function, scalar, arithmetic, {5, 6, 9, 7}, kCount, 29, x.data(), out.data()});
          return out;
        },
        [](const UnaryCall& call) { cpu::slow_unary(call, serial); },
        [](const UnaryCall& call, auto& machine) { cuda::unary_elements(call, machine); },
        failures);
  };
#define FPDET_ROW(enumerator, word, stem, code) check(Function::enumerator, word);
  FPDET_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
}

/// Sums of no, one and many terms; under vary=element the columns in one launch and in several.
template <class T>
void gathers(Scalar scalar, const std::string& words, Failures& failures) {
  const ParsedArithmetic parsed = parse_arithmetic(words);
  constexpr int64_t kColumns = 5, kLines = 9;
  Generator random(7);
  const std::vector<T> x = values<T>(random, kLines * (kColumns + 1), false),
                       weights = values<T>(random, 2 * 42, false);
  std::vector<int64_t> indices(42);
  for (int64_t& i : indices) i = random.below(kLines);
  const std::vector<int64_t> offsets{2, 2, 3, 3, 22, 40, 41};
  for (const bool weighted : {false, true}) {
    for (const int64_t most_bytes : {int64_t{0}, int64_t{1} << 20}) {
      compare(
          "gather_sum " + words,
          [&](const auto& how) {
            std::vector<T> out(6 * kColumns);
            how(GatherSumCall{scalar,
                              parsed.order,
                              parsed.resolve(scalar == Scalar::Float64),
                              {5, 6, 7, 8},
                              6,
                              kColumns,
                              39,
                              offsets.data(),
                              indices.data(),
                              x.data(),
                              kColumns + 1,
                              weighted ? weights.data() : nullptr,
                              2,
                              out.data()});
            return out;
          },
          [](const GatherSumCall& call) { cpu::slow_gather_sum(call, serial); },
          [&](const GatherSumCall& call, auto& machine) {
            cuda::gather_sums(call, machine, most_bytes);
          },
          failures);
    }
  }
}

void words_themselves(Failures& failures) {
  compare(
      "random words",
      [](const auto& how) {
        std::vector<int64_t> out(3 * 35 * 5);
        how(RandomWordsCall{{5, 6, 11, 2}, 3, 35, 5, 3, out.data()});
        return std::vector<double>(out.begin(), out.end());
      },
      [](const RandomWordsCall& call) {
        for (int64_t i = 0; i < 3 * 35; ++i) write_random_words(call, call.draw, i);
      },
      [](const RandomWordsCall& call, auto& machine) { cuda::random_words(call, machine); },
      failures);
}

/// The comparison itself: another rounding or counter must show.
void controls(Failures& failures) {
  const auto seen = [](Rounding rounding, uint64_t counter) {
    Failures found(false);
    Generator random(2);
    const std::vector<float> x = values<float>(random, 64, false);
    compare(
        "",
        [&](const auto& how) {
          std::vector<float> out(64);
          RoundCall call;
          call.format = kBfloat16;
          call.rounding = Rounding::Stochastic;
          call.draw = {5, 6, kPassRound, 7};
          call.count = call.per_sample = 64;
          call.x = x.data();
          call.out = out.data();
          how(call);
          return out;
        },
        [](const RoundCall& call) { cpu::slow_round(call, serial); },
        [&](RoundCall call, auto& machine) {
          call.rounding = rounding;
          call.draw = {5, counter, kPassRound, 7};
          cuda::round_elements(call, machine);
        },
        found);
    return found.status() != 0;
  };
  failures.expect(!seen(Rounding::Stochastic, 6), "control: nothing is wrong");
  failures.expect(seen(Rounding::NearestEven, 6), "control: another rounding");
  failures.expect(seen(Rounding::Stochastic, 7), "control: another counter");
}

}  // namespace

int main() {
  Failures failures;
  controls(failures);
  const auto every_dtype = [&](const auto& run) {
    run.template operator()<float>(Scalar::Float32);
    run.template operator()<double>(Scalar::Float64);
    run.template operator()<BFloat16>(Scalar::BFloat16);
    run.template operator()<Float16>(Scalar::Float16);
  };
  for (const std::string words :
       {"nearest_even sequential auto fused", "toward_zero sequential auto unfused",
        "upward sequential float64 fused", "downward sequential float32 unfused",
        "nearest_away sequential bfloat16 fused", "stochastic sequential float16 unfused bits=8",
        "stochastic sequential float8_e5m2 fused variant=c",
        "stochastic sequential auto fused keyed_by=operands"}) {
    every_dtype([&]<class T>(Scalar scalar) {
      const Arithmetic arithmetic = parse_arithmetic(words).resolve(scalar == Scalar::Float64);
      rounds<T>(scalar, words, arithmetic, failures);
      binaries<T>(scalar, words, arithmetic, failures);
      sgd_steps<T>(scalar, words, arithmetic, failures);
      adam_steps<T>(scalar, words, arithmetic, failures);
      functions<T>(scalar, words, arithmetic, failures);
    });
  }
  for (const char* words :
       {"nearest_even blocked(7) auto fused", "toward_zero sequential auto unfused",
        "downward pairwise float64 fused", "nearest_even split(3) bfloat16 unfused",
        "nearest_even shuffled(5) auto fused", "upward shuffled(5,vary=call) auto unfused",
        "downward shuffled(5,vary=element) auto fused", "upward split(5).shuffled(2) auto fused",
        "upward exact", "stochastic strided(4) auto fused bits=8",
        "stochastic sequential float16 unfused keyed_by=operands"}) {
    every_dtype([&]<class T>(Scalar scalar) { gathers<T>(scalar, words, failures); });
  }
  many_tensors(failures);
  words_themselves(failures);
  return failures.status();
}
