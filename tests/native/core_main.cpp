// SPDX-License-Identifier: MIT
// The arithmetic of csrc/core without Python or torch: checks itself, prints one digest per case.
// `core_main --canary` prints only what the canary objects to.
#include <cstring>
#include <memory>
#include <vector>

#include "core/arith.h"
#include "core/canary.h"
#include "core/environment.h"
#include "core/exact.h"
#include "core/pattern.h"
#include "core/permutation.h"
#include "core/reduce.h"
#include "core/sgd.h"
#include "core/soft.h"
#include "core/words.h"
#include "digest.h"

namespace {

using namespace fpdet;
using native::Digest;
using native::Failures;
using native::Generator;

const std::vector<Rounding> kRoundings = {
#define ROW(enumerator, word) Rounding::enumerator,
    FPDET_ROUNDINGS(ROW)
#undef ROW
};

const char* const kFormats[] = {"float64",       "float32",     "tfloat32", "bfloat16", "float16",
                                "float8_e4m3fn", "float8_e5m2", "e4p5",     "e11p20",   "e2p2"};

const char* const kOrders[] = {"sequential",
                               "reverse",
                               "pairwise",
                               "blocked(7)",
                               "split(3)",
                               "strided(4)",
                               "shuffled(5)",
                               "shuffled(5,vary=call)",
                               "shuffled(5,vary=element)",
                               "split(3).shuffled(5)",
                               "kahan",
                               "neumaier",
                               "exact"};

template <class Layout>
void check_pattern(double x, const Format& format, Rounding rounding, const StochasticSpec& spec,
                   uint32_t bits, Failures& failures) {
  using Word = typename Layout::Word;
  const PatternFormat<Layout> target(format, rounding, spec);
  const double expected = soft_round(x, format, rounding, spec, bits);
  with_pattern_format(target, [&]<Rounding R, bool Shrinks>() {
    if constexpr (R != Rounding::Stochastic || Layout::kBits == 64) {
      const Word got = round_pattern<R, Shrinks>(Layout::pattern(x), target, Word{bits});
      failures.expect(native::same(static_cast<double>(from_bits(got)), expected),
                      "round_pattern, " + std::to_string(Layout::kBits) + " bits, " +
                          std::to_string(format.precision) + " digits, " + to_string(rounding));
    }
  });
}

// pattern.h is soft_round: every exponent of float32 with fractions around every digit, both signs.
void patterns(Failures& failures) {
  Generator random(8);
  for (const char* word : kFormats) {
    const Format format = parse_format(word);
    for (const Rounding rounding : kRoundings) {
      for (uint32_t upper = 0; upper < 512; ++upper) {  // sign and exponent
        for (int digit = 0; digit < 24; ++digit) {
          StochasticSpec spec;
          spec.bits = static_cast<int>(1 + random.below(32));
          spec.variant = "abc"[random.below(3)];
          const auto bits = static_cast<uint32_t>(random.next() >> (64 - spec.bits));
          const uint32_t high = static_cast<uint32_t>(random.next()) << digit;
          const uint32_t fraction =
              (high + static_cast<uint32_t>(random.below(3)) - 1) & ((1u << 23) - 1);
          const double x = float32_to_double(upper << 23 | fraction);
          if (embeds(format, kFloat32)) {
            check_pattern<Binary32>(x, format, rounding, spec, bits, failures);
          }
          check_pattern<Binary64>(x, format, rounding, spec, bits, failures);
        }
      }
      for (int i = 0; i < 2000; ++i) {
        check_pattern<Binary64>(random.any(), format, rounding, {}, 0, failures);
      }
    }
  }
}

// Every operation of soft.h, by format and rounding. Stochastic: by variant, with 1 to 32 bits.
void soft_operations() {
  for (const char* word : kFormats) {
    const Format format = parse_format(word);
    for (const Rounding rounding : kRoundings) {
      Generator random(1);
      Digest digest;
      for (int i = 0; i < 1000; ++i) {
        StochasticSpec spec;
        spec.bits = static_cast<int>(1 + random.below(32));
        spec.variant = "abc"[random.below(3)];
        const auto bits = static_cast<uint32_t>(random.next() >> (64 - spec.bits));
        const double a = random.any(), b = random.any(), c = random.any();
        digest.add(soft_round(a, format, rounding, spec, bits));
        digest.add(soft_add(a, b, format, rounding, spec, bits));
        digest.add(soft_mul(a, b, format, rounding, spec, bits));
        digest.add(soft_fma(a, b, c, format, rounding, spec, bits));
        digest.add(soft_div(a, b, format, rounding, spec, bits));
      }
      digest.print("soft/" + std::string(word) + "/" + to_string(rounding));
    }
  }
}

// The processor's instructions under a guard: the same bits as soft.h.
template <class T>
[[gnu::noinline]] void leaf(const T* x, double* out) {
  out[0] = static_cast<double>(ieee_add(x[0], x[1]));
  out[1] = static_cast<double>(ieee_mul(x[0], x[1]));
  out[2] = static_cast<double>(ieee_fma(x[0], x[1], x[2]));
  out[3] = static_cast<double>(ieee_div<Rounding::NearestEven>(x[0], x[1]));
}

template <class T>
void hardware_operations(const char* word, Failures& failures) {
  const Format format = parse_format(word);
  for (const Rounding rounding : kRoundings) {
    if (!is_hardware(rounding)) continue;
    Generator random(2);
    Digest digest;
    for (int i = 0; i < 4000; ++i) {
      T x[3];
      double v[3];
      for (int j = 0; j < 3; ++j) {
        v[j] = soft_round(random.any(), format, Rounding::NearestEven);
        x[j] = static_cast<T>(v[j]);
      }
      double got[4];
      {
        const EnvironmentGuard guard(rounding);
        leaf(x, got);
      }
      const double expected[] = {
          soft_add(v[0], v[1], format, rounding), soft_mul(v[0], v[1], format, rounding),
          soft_fma(v[0], v[1], v[2], format, rounding), soft_div(v[0], v[1], format, rounding)};
      const char* const names[] = {"add", "mul", "fma", "div"};
      for (int j = 0; j < 4; ++j) {
        failures.expect(
            native::same(got[j], expected[j]),
            std::string("hardware ") + names[j] + " " + word + " " + to_string(rounding));
        digest.add(got[j]);
      }
    }
    digest.print("hardware/" + std::string(word) + "/" + to_string(rounding));
  }
}

struct Terms {
  std::vector<double> a, b;
  size_t i = 0;
  void seek(int64_t term) { i = static_cast<size_t>(term); }
  void advance() { ++i; }
  double left() const { return a[i]; }
  double right() const { return b[i]; }
};

template <bool Product>
[[gnu::noinline]] double guarded_reduce(const Order& order, const Arith& arith, Terms& terms,
                                        const ElementKey& key, const double* bias,
                                        const Format& output, ExactSum& sum) {
  const auto count = static_cast<int64_t>(terms.a.size());
  const ElementKey shuffle_key = element_key(order.seed, 3, kPassForward, 1, 9);
  const Permutation permutation(order, count, 3, shuffle_key);
  RandomBits random(arith.arithmetic().stochastic, key);
  const EnvironmentGuard guard(arith.arithmetic().rounding);
  return reduce<Product>(order, Schedule(order, count, permutation.data()), arith, terms, random,
                         bias, output, sum);
}

// Whole reductions: every order and rounding, four accumulators, fused and not, with and without
// bias.
void reductions() {
  const auto sum = std::make_unique<ExactSum>();
  for (const char* order_word : kOrders) {
    const Order order = parse_order(order_word);
    for (const Rounding rounding : kRoundings) {
      Digest digest;
      Generator random(3);
      for (const char* format_word : {"float64", "float32", "bfloat16", "float8_e4m3fn"}) {
        for (const bool fused : {true, false}) {
          Arithmetic arithmetic{rounding, parse_format(format_word), fused, {}};
          arithmetic.stochastic.keyed_by_operands = !fused;
          const Arith arith(arithmetic,
                            arithmetic.format == kFloat32 || arithmetic.format == kFloat64);
          for (const int64_t count : {0, 1, 2, 3, 7, 16, 65}) {
            Terms terms;
            for (int64_t i = 0; i < count; ++i) {
              terms.a.push_back(soft_round(random.near_one(), kFloat32, Rounding::NearestEven));
              terms.b.push_back(soft_round(random.near_one(), kFloat32, Rounding::NearestEven));
            }
            const double bias = soft_round(random.near_one(), kFloat32, Rounding::NearestEven);
            const ElementKey key = element_key(11, 3, kPassForward, 1, 9);
            const Format& output = fused ? kFloat32 : kBfloat16;
            digest.add(guarded_reduce<true>(order, arith, terms, key, nullptr, output, *sum));
            digest.add(guarded_reduce<true>(order, arith, terms, key, &bias, output, *sum));
            digest.add(guarded_reduce<false>(order, arith, terms, key, &bias, output, *sum));
          }
        }
      }
      digest.print("reduce/" + std::string(order_word) + "/" + to_string(rounding));
    }
  }
}

// Exact sums: terms and their negatives in another order leave the one that is alone.
void exact_sums(Failures& failures) {
  const auto sum = std::make_unique<ExactSum>();
  for (const Rounding rounding : kRoundings) {
    Generator random(4);
    Digest digest;
    for (int i = 0; i < 200; ++i) {
      std::vector<double> a, b;
      for (int j = 0; j < 40; ++j) {
        double x = random.any(), y = random.any();
        while (is_nan(x) || is_infinite(x)) x = random.any();
        while (is_nan(y) || is_infinite(y)) y = random.any();
        a.push_back(x);
        b.push_back(y);
      }
      const double alone = random.near_one();
      sum->clear();
      for (size_t j = 0; j < a.size(); ++j) sum->add_product(a[j], b[j]);
      digest.add(sum->round(kFloat64, rounding));
      digest.add(sum->round(kFloat32, rounding));
      sum->add(alone);
      for (size_t j = a.size(); j-- > 0;) sum->add_product(a[j], -b[j]);
      failures.expect(native::same(sum->round(kFloat64, rounding), alone),
                      "exact sum after cancellation, " + to_string(rounding));
    }
    digest.print("exact/" + to_string(rounding));
  }
}

[[gnu::noinline]] SgdResult<double> guarded_sgd(const SgdCoefficients& k, const Arith& arith,
                                                double p, double g, double b,
                                                ElementwiseBits& random) {
  const EnvironmentGuard guard(arith.arithmetic().rounding);
  return sgd_element(k, arith, p, g, b, random);
}

void sgd_steps() {
  for (const char* format_word : {"float64", "float32", "bfloat16"}) {
    for (const Rounding rounding : kRoundings) {
      Digest digest;
      Generator random(5);
      for (int i = 0; i < 500; ++i) {
        SgdScalars scalars;
        scalars.lr = 0.1;
        scalars.momentum = random.below(2) != 0 ? 0.9 : 0.0;
        scalars.weight_decay = random.below(2) != 0 ? 5e-4 : 0.0;
        scalars.dampening = 0.25;
        scalars.nesterov = random.below(2) != 0;
        scalars.maximize = random.below(2) != 0;
        scalars.first_step = random.below(2) != 0;
        scalars.rescale = static_cast<double>(1 + random.below(12));
        const Arithmetic arithmetic{rounding, parse_format(format_word), random.below(2) != 0, {}};
        const Arith arith(arithmetic, true);
        const auto value = [&] {
          return soft_round(random.near_one(), arithmetic.format, Rounding::NearestEven);
        };
        const double p = value(), g = value(), b = value();
        ElementwiseBits bits(arithmetic.stochastic, sample_key(7, 0, kPassSgd, 0),
                             static_cast<uint64_t>(i));
        const SgdResult<double> result =
            guarded_sgd(sgd_coefficients(scalars, arithmetic.format), arith, p, g, b, bits);
        digest.add(result.parameter);
        digest.add(result.buffer);
      }
      digest.print("sgd/" + std::string(format_word) + "/" + to_string(rounding));
    }
  }
}

// A guard under a hostile state: its own rounding inside, the hostile state again outside.
void guards(Failures& failures) {
#if defined(__x86_64__)
  const uint64_t hostile = clean_environment(Rounding::Upward) | 0x8040;  // FTZ and DAZ
#else
  const uint64_t hostile = clean_environment(Rounding::Upward) | (uint64_t{1} << 24);  // FZ
#endif
  const uint64_t before = read_environment();
  write_environment(hostile);
  try {
    const EnvironmentGuard guard(Rounding::TowardZero);
    failures.expect(read_environment() == clean_environment(Rounding::TowardZero),
                    "guard sets its state");
    throw 1;
  } catch (int) {
  }
  const uint64_t after = read_environment();
  write_environment(before);
  failures.expect(after == hostile, "guard restores a hostile state when an exception passes");
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> objections = canary();
  if (argc > 1 && std::strcmp(argv[1], "--canary") == 0) {
    for (const std::string& objection : objections) std::printf("%s\n", objection.c_str());
    return 0;
  }
  Failures failures;
  for (const std::string& objection : objections) failures.expect(false, "canary: " + objection);
  guards(failures);
  soft_operations();
  patterns(failures);
  hardware_operations<float>("float32", failures);
  hardware_operations<double>("float64", failures);
  reductions();
  exact_sums(failures);
  sgd_steps();
  return failures.status();
}
