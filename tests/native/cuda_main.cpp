// SPDX-License-Identifier: MIT
// The GPU kernels without a GPU: emulated launches (emulator.h) of every step equal the CPU's slow
// path bit for bit, with few and with many multiprocessors, threads in either sequence. The
// controls: planted errors that the emulator must see.
#include <string>
#include <vector>

#include "convolutions.h"
#include "core/words.h"
#include "cpu/contraction.h"
#include "cpu/elementwise.h"
#include "cuda/contraction_steps.h"
#include "cuda/elementwise.h"
#include "cuda/sgd.h"
#include "emulator.h"

namespace {

using namespace fpdet;
using namespace native;

struct Geometry {
  int64_t multiprocessors;
  bool backwards;
};
constexpr Geometry kGeometries[] = {{1, true}, {7, false}};

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

template <class T>
bool same_bits(const std::vector<std::vector<T>>& a, const std::vector<std::vector<T>>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < a[i].size(); ++j) {
      if (!same(widen(a[i][j]), widen(b[i][j]))) return false;
    }
  }
  return true;
}

template <class T>
void elementwise(Scalar scalar, const std::string& words, Failures& failures) {
  constexpr int64_t kCount = 203, kLong = 2 * cuda::kSgdChunk + 5;
  Generator random(2);
  const std::vector<T> x = values<T>(random, kLong, true), y = values<T>(random, kLong, true),
                       z = values<T>(random, kLong, true);
  const Arithmetic arithmetic = parse_arithmetic(words).resolve(scalar == Scalar::Float64);
  for (const Geometry& geometry : kGeometries) {
    EmulatedMachine machine(geometry.multiprocessors, geometry.backwards);
    std::vector<T> expected(kCount), got(kCount);
    AddCall add{scalar,   arithmetic, {5, 6, kPassAdd, 7}, kCount, kCount / 7,
                x.data(), y.data(),   got.data()};
    cpu::BinaryCall sum;
    sum.scalar = scalar;
    sum.arithmetic = arithmetic;
    sum.draw = add.draw;
    sum.count = sum.columns = kCount;
    sum.per_sample = kCount / 7;
    sum.a.data = x.data();
    sum.b.data = y.data();
    sum.out = expected.data();
    cpu::slow_binary(sum, serial);
    cuda::add_elements(add, machine);
    failures.expect(same_bits<T>({expected}, {got}), "add " + words);

    RoundCall round{scalar,
                    arithmetic.format,
                    arithmetic.rounding,
                    arithmetic.stochastic,
                    {5, 6, kPassRound, 7},
                    kCount,
                    29,
                    x.data(),
                    expected.data()};
    cpu::slow_round(round, serial);
    round.out = got.data();
    cuda::round_elements(round, machine);
    failures.expect(same_bits<T>({expected}, {got}), "round " + words);

    for (const bool first : {false, true}) {
      const SgdScalars scalars{0.1, first ? 0.0 : 0.9, 0.2, 1e-3, 3.0, true, first, first};
      const auto step = [&](const auto& run) {
        std::vector<std::vector<T>> p{x, z}, b{z, x};
        const bool has_buffer = scalars.momentum != 0;
        SgdCall call{scalar, scalars, arithmetic, {5, 6, kPassSgd, 0}, {}};
        // One place further for the second: a pack's address there is not a multiple of its size.
        call.tensors = {{kLong, 0, p[0].data(), y.data(), has_buffer ? b[0].data() : nullptr},
                        {0, 1, nullptr, nullptr, nullptr},
                        {203, 2, p[1].data() + 1, y.data(), has_buffer ? b[1].data() : nullptr}};
        run(call);
        return std::vector<std::vector<T>>{p[0], p[1], b[0], b[1]};
      };
      const auto wanted = step([](const SgdCall& call) { cpu::slow_sgd(call, serial); });
      for (const bool hardware : {false, true}) {
        const auto found = step([&](const SgdCall& call) {
          cuda::sgd(call, machine, hardware && cuda::sgd_on_hardware(call));
        });
        failures.expect(same_bits(wanted, found), "sgd " + words);
      }
    }
  }
}

/// More tensors than a launch takes.
void many_tensors(Failures& failures) {
  constexpr size_t kTensors = cuda::kSgdTensors + 3;
  const std::vector<float> gradient(5, 0.3f);
  const auto step = [&](const auto& run) {
    std::vector<std::vector<float>> p(kTensors, std::vector<float>(5, 1.7f));
    SgdCall call;
    call.arithmetic.rounding = Rounding::Stochastic;
    for (size_t i = 0; i < kTensors; ++i) {
      call.tensors.push_back({static_cast<int64_t>(i % 6), static_cast<uint32_t>(i), p[i].data(),
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
  for (const char* words :
       {"nearest_even sequential auto fused", "toward_zero sequential auto unfused",
        "upward sequential float64 fused", "downward sequential float32 unfused",
        "nearest_away sequential bfloat16 fused", "stochastic sequential float16 unfused bits=8",
        "stochastic sequential float8_e5m2 fused variant=c"}) {
    elementwise<float>(Scalar::Float32, words, failures);
    elementwise<double>(Scalar::Float64, words, failures);
    elementwise<BFloat16>(Scalar::BFloat16, words, failures);
    elementwise<Float16>(Scalar::Float16, words, failures);
  }
  many_tensors(failures);
  return failures.status();
}
