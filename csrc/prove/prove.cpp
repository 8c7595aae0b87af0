// SPDX-License-Identifier: MIT
// Tries one elementary function on float32 patterns: prove FUNCTION FIRST COUNT, in patterns. For
// each
//   - evaluate()'s test must succeed on the grid of kGridDigits digits, or the pattern is printed;
//   - the fast evaluation must be within its bound of it (2^kFastErrorBits units of a float64's
//   last
//     digit), and where its test succeeds for 25 digits it must lie between the same two 25-digit
//     numbers.
// Prints `key value` lines; the Python side (benchmarks/prove.py) adds them up.
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/environment.h"
#include "core/functions.h"

namespace {

using namespace fpdet;

constexpr int kDigits = 25;
constexpr size_t kHardest = 32;

struct Hard {
  double ratio;  // residual / error
  uint32_t pattern;
};

struct Counts {
  int64_t numbers = 0, decided_fast = 0, decided_accurate = 0, algebraic = 0;
  int64_t fast_error = 0;  // the greatest, in units of the last digit
  std::vector<uint32_t> undecided, wrong_fast;
  std::vector<Hard> hardest;
  double threshold = 0x1p60;

  void note(double ratio, uint32_t pattern) {
    hardest.push_back({ratio, pattern});
    if (hardest.size() < 4 * kHardest) return;
    keep();
    threshold = hardest.back().ratio;
  }
  void keep() {
    std::sort(hardest.begin(), hardest.end(),
              [](const Hard& a, const Hard& b) { return a.ratio < b.ratio; });
    if (hardest.size() > kHardest) hardest.resize(kHardest);
  }
};

int64_t distance(double a, double b) {
  return std::llabs(static_cast<int64_t>(to_bits(a)) - static_cast<int64_t>(to_bits(b)));
}

template <Function F>
[[gnu::noinline]] void prove(uint64_t first, uint64_t count, Counts& counts) {
  for (uint64_t i = first; i < first + count; ++i) {
    const auto pattern = static_cast<uint32_t>(i);
    const double x = float32_to_double(pattern);
    double number = 0.0;
    const bool special = special_value(F, x, number);
    const double fast = fast_evaluate<F>(x);
    const double decided_fast = fast_function<F>(x, kDigits);
    if (special) {
      ++counts.numbers;
      if (!is_zero(decided_fast)) counts.wrong_fast.push_back(pattern);
      continue;
    }
    double nearest = 0.0;   // to f(x), within a few units of the last digit
    double accurate = 0.0;  // f(x) rounded to odd, where it is asked for
    if constexpr (is_algebraic(F)) {
      ++counts.algebraic;
      nearest = accurate = as_double(evaluate<F>(x));
    } else {
      const Enclosure f = enclosure<F>(x);
      const double residual = magnitude(cut(f).residual);
      if (residual > f.error) {
        ++counts.decided_accurate;
      } else {
        counts.undecided.push_back(pattern);
      }
      if (residual < f.error * counts.threshold) counts.note(residual / f.error, pattern);
      nearest = f.c + f.d.hi;
      if (!is_zero(decided_fast)) accurate = jam_to_double(jammed(cut(f)));
    }
    if (!is_zero(fast) && magnitude_bits(fast) < kInfinityBits) {
      counts.fast_error = std::max(counts.fast_error, distance(fast, nearest));
    }
    if (is_zero(decided_fast)) continue;
    ++counts.decided_fast;
    const bool same =
        F == Function::Sqrt || F == Function::Reciprocal
            ? to_bits(decided_fast) == to_bits(accurate)
            : to_bits(decided_fast) >> (53 - kDigits) == to_bits(accurate) >> (53 - kDigits);
    if (!same) counts.wrong_fast.push_back(pattern);
  }
}

void print(const char* key, int64_t value) { std::printf("%s %" PRId64 "\n", key, value); }

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: prove FUNCTION FIRST COUNT\n");
    return 2;
  }
  const std::string word = argv[1];
  const uint64_t first = std::strtoull(argv[2], nullptr, 0),
                 count = std::strtoull(argv[3], nullptr, 0);
  Counts counts;
  bool known = false;
  const EnvironmentGuard guard(Rounding::NearestEven);
#define FPDET_ROW(enumerator, name, stem, code)        \
  if (word == name) {                                  \
    known = true;                                      \
    prove<Function::enumerator>(first, count, counts); \
  }
  FPDET_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
  if (!known) {
    std::fprintf(stderr, "prove: no function '%s'\n", word.c_str());
    return 2;
  }
  counts.keep();
  print("numbers", counts.numbers);
  print("decided_fast", counts.decided_fast);
  print("decided_accurate", counts.decided_accurate);
  print("algebraic", counts.algebraic);
  print("fast_error", counts.fast_error);
  for (const uint32_t x : counts.undecided) print("undecided", x);
  for (const uint32_t x : counts.wrong_fast) print("wrong_fast", x);
  for (const Hard& hard : counts.hardest) {
    std::printf("hard %" PRIu32 " %a\n", hard.pattern, hard.ratio);
  }
  return 0;
}
