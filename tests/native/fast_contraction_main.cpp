// SPDX-License-Identifier: MIT
// The fast contraction against the definition, bit for bit: random shapes, orders, roundings, fused
// or not, element types, instruction sets, tile sizes and threads. The definition here is a loop
// over Schedule, one output element and one operation at a time. Usage: fast_contraction_main
// [cases] [seed]
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "core/conv.h"
#include "core/environment.h"
#include "core/permutation.h"
#include "cpu/contraction.h"
#include "cpu/dispatch.h"
#include "cpu/fast_contraction.h"

namespace {

using namespace fpdet;

template <class T>
__attribute__((noinline)) T plus(T a, T b) {
  return a + b;
}
template <class T>
__attribute__((noinline)) T times(T a, T b) {
  return a * b;
}

/// One element by the definition, in accumulator type A.
template <class A, class S>
__attribute__((noinline)) A element(const cpu::ContractionCall& call, const Schedule& schedule,
                                    TermCursor<S>& cursor) {
  std::vector<A> stack;
  const bool product = call.problem.product;
  for (int64_t j = 0; j < schedule.runs(); ++j) {
    const Run run = schedule.run(j);
    A acc = 0;
    for (int64_t i = 0; i < run.count; ++i) {
      cursor.seek(schedule.term(run.first + i * run.stride));
      const A b = static_cast<A>(cursor.right());
      const A a = product ? static_cast<A>(cursor.left()) : A{1};
      if (!product) {
        acc = plus(acc, b);
      } else if (call.arithmetic.fused) {
        acc = std::fma(a, b, acc);
      } else {
        acc = plus(acc, times(a, b));
      }
    }
    stack.push_back(acc);
    for (int f = schedule.folds(j); f > 0; --f) {
      const A q = stack.back();
      stack.pop_back();
      stack.back() = plus(stack.back(), q);
    }
  }
  return stack.empty() ? A{0} : stack.back();
}

template <class A, class S>
void define(const cpu::ContractionCall& call) {
  const Contraction& c = call.problem;
  const Permutation permutation(call.order, c.terms.product(), call.draw.counter);
  const Schedule schedule(call.order, c.terms.product(), permutation.data());
  const int64_t rows = c.rows.product(), cols = c.cols.product();
  const Arith arith(call.arithmetic, true);
  RandomBits none;
  const EnvironmentGuard guard(call.arithmetic.rounding);
  for (int64_t g = 0; g < c.groups; ++g) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = 0; k < cols; ++k) {
        const Digits row = c.rows.decode(r), col = c.cols.decode(k);
        TermCursor<S> cursor(c, static_cast<const S*>(call.left), static_cast<const S*>(call.right),
                             g, row, col);
        A sum = element<A, S>(call, schedule, cursor);
        if (call.bias != nullptr) {
          sum = plus(sum, static_cast<A>(widen(static_cast<const S*>(
                              call.bias)[(g * rows + r) * call.bias_stride])));
        }
        store(arith.round_to(static_cast<double>(sum), kFormatOf<S>, none, 0),
              static_cast<S*>(call.out)[c.out.offset(g, row, col)]);
      }
    }
  }
}

class Pick {
 public:
  explicit Pick(uint64_t seed) : engine_(seed) {}
  int64_t operator()(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(engine_() % static_cast<uint64_t>(high - low + 1));
  }
  template <class T>
  T of(std::initializer_list<T> choices) {
    return choices.begin()[(*this)(0, static_cast<int64_t>(choices.size()) - 1)];
  }

 private:
  std::mt19937_64 engine_;
};

double number(Pick& pick) {
  const int64_t what = pick(0, 400);
  const double sign = pick(0, 1) != 0 ? -1.0 : 1.0;
  if (what == 0) return sign * INFINITY;
  if (what == 1) return NAN;
  if (what < 20) return sign * 0.0;
  if (what < 30) return sign * std::ldexp(static_cast<double>(pick(1, 8000000)), -149);
  if (what < 35) return sign * std::ldexp(static_cast<double>(pick(1, 8000000)), 100);
  return sign *
         std::ldexp(static_cast<double>(pick(0, (1 << 24) - 1)), static_cast<int>(pick(-30, -22)));
}

TensorStrides strides_of(Pick& pick, int64_t c, const int64_t (&x)[kAxes], bool last_channels) {
  (void)pick;
  TensorStrides s;
  const int64_t volume = x[0] * x[1] * x[2];
  const int64_t unit = last_channels ? c : 1;
  s.x[2] = unit;
  s.x[1] = unit * x[2];
  s.x[0] = unit * x[2] * x[1];
  s.c = last_channels ? 1 : volume;
  s.n = c * volume;
  return s;
}

Order random_order(Pick& pick) {
  Order order;
  order.kind = pick.of({OrderKind::Sequential, OrderKind::Reverse, OrderKind::Blocked,
                        OrderKind::Blocked, OrderKind::Blocked, OrderKind::Split,
                        OrderKind::Strided, OrderKind::Shuffled, OrderKind::SplitShuffled});
  order.n = pick.of<int64_t>({1, 1, 2, 3, 4, 5, 7, 8, 16, 100, 512});
  order.seed = static_cast<uint64_t>(pick(0, 1000));
  order.vary = pick.of({Vary::Never, Vary::Call});
  return order;
}

void threads(int64_t count, int64_t, const std::function<void(int64_t, int64_t)>& body) {
  const int64_t half = count / 2;
  std::thread other([&] {
    write_environment(0x1f80 | 0x8040 | (uint64_t{2} << 13));  // hostile: FTZ, DAZ, upward
    body(0, half);
  });
  body(half, count);
  other.join();
}

template <class S>
bool same(const std::vector<S>& a, const std::vector<S>& b, size_t& at) {
  for (at = 0; at < a.size(); ++at) {
    const double x = widen(a[at]), y = widen(b[at]);
    if (is_nan(x) && is_nan(y)) continue;
    if (to_bits(x) != to_bits(y)) return false;
  }
  return true;
}

template <class S>
bool run_case(uint64_t seed, Scalar scalar) {
  Pick pick(seed);
  ConvShape s;
  s.samples = pick(1, 3);
  s.groups = pick.of<int64_t>({1, 1, 1, 2, 5});
  s.in_channels = pick(0, 20) == 0 ? 0 : pick(1, 9);
  s.out_channels = pick.of<int64_t>({1, 2, 3, 5, 14, 15, 29, 40});
  for (int i = 0; i < kAxes; ++i) {
    s.kernel[i] = i == 0 ? pick.of<int64_t>({1, 1, 2}) : pick(1, 4);
    s.stride[i] = pick.of<int64_t>({1, 1, 2, 3});
    s.pad[i] = pick(0, 3);
    s.dilation[i] = pick.of<int64_t>({1, 1, 2, 3});
    s.in[i] = i == 0 ? pick(1, 2) : pick(1, i == 1 ? 9 : 24);
    const int64_t span = s.in[i] + 2 * s.pad[i] - s.dilation[i] * (s.kernel[i] - 1) - 1;
    s.out[i] = span < 0 ? 0 : span / s.stride[i] + 1;
  }
  const bool channels_last = pick(0, 4) == 0;
  const int64_t c_all = s.groups * s.in_channels, k_all = s.groups * s.out_channels;
  const TensorStrides x = strides_of(pick, c_all, s.in, channels_last);
  const TensorStrides y = strides_of(pick, k_all, s.out, channels_last);
  const TensorStrides w = strides_of(pick, s.in_channels, s.kernel, channels_last);
  const auto filled = [&](int64_t count) {
    std::vector<S> v(static_cast<size_t>(count));
    const Arithmetic nearest;
    RandomBits none;
    const bool special = pick(0, 3) == 0;
    for (S& e : v) {
      double value = number(pick);
      if (!special && !std::isfinite(value)) value = 1;
      store(Arith(nearest, true).round_to(value, kFormatOf<S>, none, 0), e);
    }
    return v;
  };
  const std::vector<S> xs = filled(s.samples * x.n), ys = filled(s.samples * y.n),
                       ws = filled(k_all * w.n), bias = filled(k_all > c_all ? k_all : c_all);

  cpu::ContractionCall call;
  call.order = random_order(pick);
  call.arithmetic.rounding =
      pick.of({Rounding::NearestEven, Rounding::TowardZero, Rounding::Upward, Rounding::Downward});
  call.arithmetic.format = std::is_same_v<S, double> || pick(0, 3) == 0 ? kFloat64 : kFloat32;
  call.arithmetic.fused = pick(0, 1) != 0;
  call.draw.counter = static_cast<uint64_t>(pick(0, 5));
  call.scalar = scalar;
  const int64_t pass = pick(0, 3);
  std::vector<cpu::ContractionCall> calls;
  int64_t size = 0;
  const bool with_bias = pick(0, 1) != 0;
  if (pass == 0) {
    call.problem = forward_contraction(s, x, w, y);
    call.left = ws.data();
    call.right = xs.data();
    call.bias = with_bias ? bias.data() : nullptr;
    size = s.samples * y.n;
    calls.push_back(call);
  } else if (pass == 1) {
    call.left = ws.data();
    call.right = ys.data();
    call.bias = with_bias ? bias.data() : nullptr;
    size = s.samples * x.n;
    for (int64_t r = 0; r < grad_input_residues(s); ++r) {
      call.problem = grad_input_contraction(s, y, w, x, r);
      calls.push_back(call);
    }
  } else if (pass == 2) {
    call.problem = grad_weight_contraction(s, y, x, w);
    call.left = ys.data();
    call.right = xs.data();
    size = k_all * w.n;
    calls.push_back(call);
  } else {
    call.problem = channel_sum_contraction(s, y, 1);
    call.right = ys.data();
    size = k_all;
    calls.push_back(call);
  }

  std::vector<S> expected(static_cast<size_t>(size)), got;
  for (cpu::ContractionCall c : calls) {
    c.out = expected.data();
    if (!cpu::fast_contraction_covers(c)) {
      std::printf("seed %llu: not covered\n", static_cast<unsigned long long>(seed));
      return false;
    }
    if (c.arithmetic.format == kFloat64) {
      define<double, S>(c);
    } else {
      define<float, S>(c);
    }
  }
  bool good = true;
  for (const std::string& set : cpu::instruction_sets()) {
    cpu::set_instruction_set(set);
    for (int repeat = 0; repeat < 3; ++repeat) {
      if (repeat == 0) {
        cpu::set_tiles(0, 0, 0, 0);
      } else {
        cpu::set_tiles(pick(0, 100), pick(0, 40), pick(0, 30), pick(1, 9));
      }
      got.assign(static_cast<size_t>(size), S{});
      for (cpu::ContractionCall c : calls) {
        c.out = got.data();
        cpu::fast_contraction(c, threads);
      }
      size_t at = 0;
      if (!same(expected, got, at)) {
        std::printf("seed %llu scalar %d pass %d set %s repeat %d: element %zu is %a, defined %a\n",
                    static_cast<unsigned long long>(seed), static_cast<int>(scalar),
                    static_cast<int>(pass), set.c_str(), repeat, at, widen(got[at]),
                    widen(expected[at]));
        good = false;
      }
    }
  }
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t cases = argc > 1 ? std::atoll(argv[1]) : 300;
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  int64_t failed = 0;
  for (int64_t i = 0; i < cases; ++i) {
    const Scalar scalar = static_cast<Scalar>(i % 4);
    with_scalar(scalar, [&]<class S>(S) {
      if (!run_case<S>(seed + static_cast<uint64_t>(i), scalar)) ++failed;
    });
  }
  std::printf("%lld cases, %lld failed\n", static_cast<long long>(cases),
              static_cast<long long>(failed));
  return failed == 0 ? 0 : 1;
}
