// SPDX-License-Identifier: MIT
// Contractions' GPU kernels without a GPU: emulated launches (emulator.h) of every step equal the
// CPU's slow path bit for bit, with few and with many multiprocessors, threads in either sequence.
// The controls: planted errors that the emulator must see.
#include <string>
#include <vector>

#include "convolutions.h"
#include "core/words.h"
#include "cpu/contraction.h"
#include "cuda/contraction_steps.h"
#include "emulator.h"
#include "primitives.h"

namespace {

using namespace fpdet;
using namespace native;

template <class T>
ContractionCall call_of(Scalar scalar, const ParsedArithmetic& parsed) {
  ContractionCall call;
  call.scalar = scalar;
  call.order = parsed.order;
  call.arithmetic = parsed.resolve(scalar == Scalar::Float64);
  call.draw = {3, 4, 5, 6};
  return call;
}

template <class T>
void slow(const Case& test, Scalar scalar, const std::string& words, bool wild,
          Failures& failures) {
  const ParsedArithmetic parsed = parse_arithmetic(words);
  Generator random(6);
  const Convolution<T> convolution(test, random, wild);
  const ContractionCall call = call_of<T>(scalar, parsed);
  const auto expected = convolution.passes(call, [](const ContractionCall& c) {
    cpu::slow_contraction(c, serial);
    return true;
  });
  int64_t counter[] = {3, 4};
  for (const Geometry& geometry : kGeometries) {
    const auto got = convolution.passes(call, [&](ContractionCall c) {
      EmulatedMachine machine(geometry.multiprocessors, geometry.backwards);
      if (geometry.backwards) {  // as a tensor on the device
        c.draw.seed = c.draw.counter = 99;
        c.draw.on_device = counter;
      }
      for (size_t i = 0; i <= c.rest.size(); ++i) {
        cuda::slow_contraction(cpu::part_of(c, i), machine);
      }
      return true;
    });
    failures.expect(equal(expected, got), std::string("slow ") + test.name + " " + words);
  }
}

/// Of tiled kernels, whose choice hangs on the number of multiprocessors.
template <class T>
void tiled(const Case& test, Scalar scalar, const std::string& words, bool wild,
           Failures& failures) {
  const ParsedArithmetic parsed = parse_arithmetic(words);
  Generator random(7);
  const Convolution<T> convolution(test, random, wild);
  const ContractionCall call = call_of<T>(scalar, parsed);
  failures.expect(cuda::fast_contraction_covers(call), "covers " + words);
  const auto expected = convolution.passes(call, [](const ContractionCall& c) {
    cpu::slow_contraction(c, serial);
    return true;
  });
  for (const Geometry& geometry : kGeometries) {
    const auto got = convolution.passes(call, [&](const ContractionCall& c) {
      EmulatedMachine machine(geometry.multiprocessors, geometry.backwards);
      cuda::any_contraction(c, machine);
      return true;
    });
    failures.expect(equal(expected, got), std::string("tiled ") + test.name + " " + words +
                                              (geometry.backwards ? " backwards" : ""));
  }
}

/// Sums and products of matrices, by whatever kernels take them.
template <class T>
void primitive(const Primitive& test, Scalar scalar, const std::string& words, bool wild,
               Failures& failures) {
  Generator random(8);
  const std::vector<T> left = values<T>(random, test.left, wild),
                       right = values<T>(random, test.right, wild),
                       bias = values<T>(random, test.bias, wild);
  ContractionCall call = call_of<T>(scalar, parse_arithmetic(words));
  call.problem = test.problem;
  // Nothing to read where there are no products.
  call.left = test.problem.product ? left.data() : nullptr;
  call.right = right.data();
  call.bias = test.bias > 0 ? bias.data() : nullptr;
  const auto run = [&](const auto& how) {
    std::vector<std::vector<T>> out(1);
    out[0].resize(static_cast<size_t>(test.problem.outputs()));
    call.out = out[0].data();
    how();
    return out;
  };
  const auto expected = run([&] { cpu::slow_contraction(call, serial); });
  for (const Geometry& geometry : kGeometries) {
    EmulatedMachine machine(geometry.multiprocessors, geometry.backwards);
    const auto got = run([&] { cuda::any_contraction(call, machine); });
    failures.expect(equal(expected, got), std::string(test.name) + " " + words);
  }
}

/// Each thread passes its number on to its neighbour; without the barrier, or with one that half of
/// them miss, if told so.
struct PassOn {
  struct Task {
    int64_t* out;
    bool barrier, all;
  };
  struct Shared {
    int64_t number[8];
  };
  static constexpr int kThreads = 8, kResident = 1;
  static constexpr Rounding rounding(const Task&) { return Rounding::NearestEven; }

  template <class Block>
  static void run(const Task& task, Block& block) {
    Shared& shared = block.template shared<Shared>();
    shared.number[block.thread()] = block.thread();
    if (task.barrier && (task.all || block.thread() < 4)) block.sync();
    task.out[block.thread()] = shared.number[(block.thread() + 1) % kThreads];
  }
};

void controls(Failures& failures) {
  const auto passed = [](bool backwards, bool barrier, bool all) {
    std::vector<int64_t> out(PassOn::kThreads);
    EmulatedMachine(1, backwards).launch<PassOn>(1, {out.data(), barrier, all});
    return out;
  };
  failures.expect(passed(false, true, true) == passed(true, true, true), "a barrier");
  failures.expect(passed(false, false, true) != passed(true, false, true), "control: no barrier");
  bool refused = false;
  try {
    passed(false, true, false);
  } catch (const std::logic_error&) {
    refused = true;
  }
  failures.expect(refused, "control: a barrier that half of the threads miss");

  // The comparison itself: another order, rounding or fused word must show.
  const Case test{"3x3", conv(2, 1, 3, 40, {9, 7}, 3, 1, 1, 1)};
  const auto results = [&](const char* words) {
    Generator random(7);
    const Convolution<float> convolution(test, random, false);
    return convolution.passes(call_of<float>(Scalar::Float32, parse_arithmetic(words)),
                              [](const ContractionCall& c) {
                                EmulatedMachine machine(3, false);
                                cuda::any_contraction(c, machine);
                                return true;
                              });
  };
  const auto reference = results("nearest_even blocked(7) auto fused");
  for (const char* words : {"upward blocked(7) auto fused", "nearest_even blocked(8) auto fused",
                            "nearest_even blocked(7) auto unfused"}) {
    failures.expect(!equal(reference, results(words)), std::string("control: ") + words);
  }
}

const char* const kAnyWords[] = {
    "nearest_even blocked(7) auto fused",
    "toward_zero sequential auto unfused",
    "upward reverse float64 fused",
    "downward pairwise auto unfused",
    "nearest_even split(3) auto fused",
    "upward strided(4) float32 fused",
    "nearest_even shuffled(5) auto fused",
    "downward shuffled(5,vary=call) auto fused",
    "nearest_even shuffled(5,vary=element) auto unfused",
    "upward split(5).shuffled(2) auto fused",
    "nearest_away split(3) bfloat16 unfused",
    "to_odd strided(4) float16 fused",
    "to_odd kahan bfloat16",
    "nearest_away neumaier auto",
    "downward exact",
    "stochastic exact bits=8",
    "stochastic blocked(7) auto fused bits=16",
    "stochastic sequential auto unfused variant=b keyed_by=operands",
    "stochastic shuffled(5) bfloat16 fused variant=c bits=12",
    "downward pairwise float8_e4m3fn fused",
};

}  // namespace

int main() {
  Failures failures;
  controls(failures);
  const Case cases[] = {
      {"3x3", conv(2, 1, 3, 5, {5, 6}, 3, 1, 1, 1)},
      {"grouped_strided_dilated", conv(2, 2, 3, 2, {9, 8}, 3, 2, 2, 2)},
      {"3d_channels_last", conv(1, 1, 2, 3, {3, 4, 5}, 2, 1, 1, 1), Layout::ChannelsLast},
      {"only_padding", conv(1, 1, 2, 3, {2, 2}, 1, 1, 1, 1)},
  };
  for (const Case& test : cases) {
    int number = 0;
    for (const char* words : kAnyWords) {
      const bool wild = ++number % 3 == 0;
      slow<float>(test, Scalar::Float32, words, wild, failures);
      if (number % 4 == 0) slow<double>(test, Scalar::Float64, words, wild, failures);
      if (number % 4 == 1) slow<BFloat16>(test, Scalar::BFloat16, words, wild, failures);
      if (number % 4 == 2) slow<Float16>(test, Scalar::Float16, words, wild, failures);
    }
  }
  const Case larger[] = {
      {"3x3", conv(2, 1, 3, 40, {9, 7}, 3, 1, 1, 1)},
      {"strided_dilated_3d", conv(1, 2, 2, 3, {5, 6, 7}, 2, 2, 1, 2)},
      {"1x1", conv(1, 1, 37, 35, {7, 5}, 1, 1, 0, 1), Layout::ChannelsLast},
      {"many_tiles", conv(2, 1, 2, 150, {13, 11}, 3, 1, 1, 1)},
      {"long", conv(3, 1, 1, 2, {31, 33}, 3, 1, 1, 1), Layout::GapAfterLine},
  };
  int turn = 0;
  for (const Case& test : larger) {
    for (const char* order :
         {"sequential auto fused", "reverse auto unfused", "blocked(7) auto fused",
          "blocked(64) auto unfused", "pairwise auto fused", "pairwise auto unfused",
          "split(3) auto fused", "split(9) auto unfused", "strided(4) auto fused",
          "strided(5000) auto fused", "shuffled(5) auto fused",
          "shuffled(5,vary=call) auto unfused", "split(5).shuffled(2) auto fused"}) {
      const char* const roundings[] = {"nearest_even", "toward_zero", "upward", "downward"};
      const std::string words = std::string(roundings[turn % 4]) + " " + order;
      const bool wild = ++turn % 3 == 0;
      switch (turn % 5) {
        case 0:
          tiled<double>(test, Scalar::Float64, words, wild, failures);
          break;
        case 1:
          tiled<BFloat16>(test, Scalar::BFloat16, words, wild, failures);
          break;
        case 2:
          tiled<Float16>(test, Scalar::Float16, words, wild, failures);
          break;
        default:
          tiled<float>(test, Scalar::Float32, words, wild, failures);
      }
    }
  }
  for (const Case& test : larger) {
    for (const char* words : {"nearest_even exact", "downward exact", "stochastic exact bits=8"}) {
      const bool wild = ++turn % 2 == 0;
      tiled<float>(test, Scalar::Float32, words, wild, failures);
      if (turn % 3 == 0) tiled<BFloat16>(test, Scalar::BFloat16, words, wild, failures);
    }
  }
  std::vector<Primitive> primitives = sums();
  for (const Primitive& test : matmuls()) primitives.push_back(test);
  for (const Primitive& test : primitives) {
    for (const char* words :
         {"nearest_even blocked(7) auto fused", "upward sequential auto unfused",
          "toward_zero pairwise auto fused", "nearest_even shuffled(5) auto fused",
          "downward exact", "nearest_away split(3) bfloat16 unfused",
          "stochastic sequential auto fused keyed_by=operands", "stochastic exact bits=8"}) {
      const bool wild = ++turn % 3 == 0;
      primitive<float>(test, Scalar::Float32, words, wild, failures);
      if (turn % 4 == 0) primitive<double>(test, Scalar::Float64, words, wild, failures);
      if (turn % 4 == 1) primitive<BFloat16>(test, Scalar::BFloat16, words, wild, failures);
    }
  }
  return failures.status();
}
