// SPDX-License-Identifier: MIT
// The CPU kernels without Python or torch: every pass of small convolutions, by every instruction
// set of this machine, several tilings and on several threads, equals the slow path bit for bit.
// Prints the slow path's digests. Buffers are exactly as long as they must be: a read beyond shows
// under ASan.
#include <string>
#include <vector>

#include "convolutions.h"
#include "core/words.h"
#include "cpu/contraction.h"
#include "cpu/dispatch.h"
#include "cpu/fast_contraction.h"
#include "digest.h"

namespace {

using namespace fpdet;
using namespace native;

/// Tile sizes that are forced in turn, 0 is the plan's own; and who carries out the items.
struct Tiling {
  int64_t tile, workers;
  cpu::ParallelFor loop;
};
const Tiling tilings[] = {{0, 3, three_threads}, {1, 1, serial}, {5, 5, scattered}};

/// Of so many cases one is run: an argument, for a slow machine.
int64_t every = 1;
int64_t cases_met = 0;

/// Every method by name, and the choice by shape ("").
std::vector<std::string> methods() {
  std::vector<std::string> names = cpu::contraction_methods();
  names.emplace_back("");
  return names;
}

template <class T>
void check(const Case& test, Scalar scalar, const std::string& dtype, const std::string& words,
           Failures& failures, bool wild = false) {
  if (cases_met++ % every != 0) return;
  const ParsedArithmetic parsed = parse_arithmetic(words);
  Generator random(6);
  const Convolution<T> convolution(test, random, wild);
  cpu::ContractionCall call;
  call.scalar = scalar;
  call.order = parsed.order;
  call.arithmetic = Arithmetic{parsed.rounding, scalar == Scalar::Float64 ? kFloat64 : kFloat32,
                               parsed.fused, parsed.stochastic};
  if (!parsed.accumulator_auto) call.arithmetic.format = parsed.format;
  const std::string name =
      std::string(test.name) + "/" + dtype + "/" + words + (wild ? "/wild" : "");

  const auto slow = convolution.passes(call, [](const cpu::ContractionCall& c) {
    cpu::slow_contraction(c, serial);
    return true;
  });
  Digest digest;
  for (const auto& pass : slow) {
    for (const T& x : pass) digest.add(widen(x));
  }
  std::string label = name;
  for (char& c : label) c = c == ' ' ? '_' : c;
  digest.print(label);

  const auto threaded = convolution.passes(call, [](const cpu::ContractionCall& c) {
    cpu::slow_contraction(c, three_threads);
    return true;
  });
  failures.expect(equal(slow, threaded), "slow path on three threads: " + name);
  for (const std::string& set : cpu::instruction_sets()) {
    cpu::set_instruction_set(set);
    for (const auto& [tile, workers, loop] : tilings) {
      for (const std::string& method : methods()) {
        cpu::set_knobs({tile, tile, tile, workers, method});
        const auto fast = convolution.passes(call, [&](const cpu::ContractionCall& c) {
          const bool covered = cpu::fast_contraction_covers(c);
          failures.expect(cpu::fast_contraction(c, loop) == covered, "covers: " + name);
          return covered;
        });
        failures.expect(equal(slow, fast),
                        set + ", tiles " + std::to_string(tile) + ", " + method + ": " + name);
      }
    }
  }
  cpu::set_knobs({});
  cpu::set_instruction_set("");
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1) every = std::stoll(arguments[1]);
  const Case cases[] = {
      {"3x3", conv(2, 1, 3, 5, {5, 6}, 3, 1, 1, 1)},
      {"3x3_channels_last", conv(2, 1, 3, 5, {5, 6}, 3, 1, 1, 1), Layout::ChannelsLast},
      {"3x3_gaps", conv(2, 1, 2, 9, {4, 11}, 3, 1, 1, 1), Layout::GapAfterLine},
      {"grouped_strided_dilated", conv(2, 2, 3, 2, {9, 8}, 3, 2, 2, 2)},
      {"depthwise", conv(1, 5, 1, 1, {7, 19}, 3, 1, 1, 1)},
      {"depthwise_strided", conv(2, 19, 1, 1, {9, 21}, 3, 2, 1, 1)},
      {"depthwise_dilated", conv(1, 3, 1, 2, {6, 37}, 5, 1, 4, 2)},
      {"depthwise_channels_last", conv(2, 10, 1, 1, {5, 9}, 3, 1, 1, 1), Layout::ChannelsLast},
      {"depthwise_1d", conv(2, 9, 1, 1, {70}, 4, 3, 2, 1)},
      {"depthwise_3d", conv(1, 4, 1, 1, {3, 4, 10}, 3, 2, 1, 1)},
      {"grouped", conv(1, 9, 3, 5, {6, 11}, 3, 1, 1, 1)},
      {"1x1", conv(1, 1, 17, 35, {7, 5}, 1, 1, 0, 1)},
      {"1x1_strided", conv(2, 1, 12, 109, {3, 5}, 1, 2, 0, 1)},
      {"1x1_strided_lines", conv(2, 1, 19, 24, {7, 11}, 1, 2, 0, 1)},
      {"1d", conv(3, 1, 4, 3, {40}, 5, 3, 2, 1)},
      {"1d_long", conv(1, 1, 1, 2, {2077}, 2, 1, 0, 1)},
      {"3d", conv(1, 1, 2, 3, {3, 4, 5}, 2, 1, 1, 1)},
  };
  // Short runs: term counts around powers of two, chunks that cut subtrees, sums of -0 products.
  const Case short_runs[] = {
      {"1x1_c5", conv(1, 1, 5, 9, {5, 4}, 1, 1, 0, 1)},
      {"1x1_c16", conv(1, 1, 16, 7, {3, 7}, 1, 1, 0, 1)},
      {"1x1_c31", conv(2, 1, 31, 33, {4, 4}, 1, 1, 0, 1)},
      {"1x1_c300_k70", conv(1, 1, 300, 70, {2, 2}, 1, 1, 0, 1)},
      {"only_padding", conv(1, 1, 3, 17, {4, 4}, 1, 1, 1, 1)},
  };
  Failures failures;
  for (const Case& test : short_runs) {
    for (const char* order :
         {"pairwise auto fused", "pairwise auto unfused", "blocked(2) auto fused",
          "blocked(2) auto unfused", "blocked(3) auto fused", "blocked(3) auto unfused",
          "blocked(4) auto fused", "blocked(5) auto unfused", "blocked(6) auto fused",
          "strided(13) auto fused", "split(11) auto unfused"}) {
      for (const char* rounding : {"nearest_even", "downward"}) {
        const std::string words = std::string(rounding) + " " + order;
        check<float>(test, Scalar::Float32, "float32", words, failures);
        check<double>(test, Scalar::Float64, "float64", words, failures);
      }
    }
  }
  for (const Case& test : cases) {
    for (const char* rounding : {"nearest_even", "toward_zero", "upward", "downward"}) {
      for (const char* order :
           {"sequential auto fused", "reverse auto fused", "blocked(7) auto fused",
            "pairwise auto unfused", "split(3) auto fused", "strided(4) auto unfused",
            "shuffled(5) auto fused"}) {
        const std::string words = std::string(rounding) + " " + order;
        check<float>(test, Scalar::Float32, "float32", words, failures);
        check<double>(test, Scalar::Float64, "float64", words, failures);
      }
    }
    for (const char* words :
         {"nearest_even blocked(7) auto fused", "upward blocked(7) auto fused",
          "stochastic blocked(7) auto fused bits=16", "nearest_away sequential float16 unfused"}) {
      check<BFloat16>(test, Scalar::BFloat16, "bfloat16", words, failures);
      check<Float16>(test, Scalar::Float16, "float16", words, failures);
    }
    for (const char* words :
         {"stochastic blocked(7) auto fused bits=8", "stochastic sequential auto unfused variant=b",
          "stochastic shuffled(5) bfloat16 fused variant=c bits=12",
          "stochastic reverse tfloat32 unfused bits=5 variant=b", "to_odd kahan bfloat16",
          "to_odd strided(4) float32 fused", "nearest_away split(3) bfloat16 unfused",
          "downward pairwise float8_e4m3fn fused", "upward blocked(7) float8_e5m2 unfused",
          "nearest_even sequential float16 fused", "nearest_away neumaier auto",
          "downward exact"}) {
      for (const bool wild : {false, true}) {
        check<float>(test, Scalar::Float32, "float32", words, failures, wild);
      }
    }
    for (const char* words : {"nearest_even exact", "upward exact", "to_odd exact",
                              "stochastic exact bits=8", "stochastic exact keyed_by=operands"}) {
      for (const bool wild : {false, true}) {
        check<float>(test, Scalar::Float32, "float32", words, failures, wild);
        check<BFloat16>(test, Scalar::BFloat16, "bfloat16", words, failures, wild);
      }
    }
    check<Float16>(test, Scalar::Float16, "float16", "toward_zero exact", failures, true);
    check<double>(test, Scalar::Float64, "float64", "nearest_away exact", failures, true);
  }
  return failures.status();
}
