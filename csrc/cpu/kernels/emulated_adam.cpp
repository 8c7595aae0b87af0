// SPDX-License-Identifier: MIT
#include "emulated_adam.h"

#include "../../core/environment.h"
#include "emulated_blocks.h"
#include "emulated_ops.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

/// The operations of core's step.
template <class Ops>
struct AdamOps {
  const Ops& ops;
  const LaneEvents& random;

  FPDET_INLINE Doubles add(Doubles x, Doubles y, int64_t event) const {
    return ops.add(x, y, event, random);
  }
  FPDET_INLINE Doubles mul(Doubles x, Doubles y, int64_t event) const {
    return ops.mul(x, y, event, random);
  }
  FPDET_INLINE Doubles div(Doubles x, Doubles y, int64_t event) const {
    return ops.div(x, y, event, random);
  }
  FPDET_INLINE Doubles sqrt(Doubles x, int64_t event) const { return ops.sqrt(x, event, random); }
  FPDET_INLINE Doubles multiply_add(Doubles c, Doubles y, Doubles x, int64_t product_event,
                                    int64_t) const {
    return ops.accumulate(x, c, y, product_event / 2, random);
  }
  FPDET_INLINE Doubles negate(Doubles x) const { return -x; }
  FPDET_INLINE Doubles maximum(Doubles x, Doubles y) const { return (x > y) | (x != x) ? x : y; }
};

struct AdamArrays {
  float* parameter;
  const float* gradient;
  float *average, *square, *most;
};

template <class Ops>
[[gnu::noinline]] void adam_block(const Ops& given, const AdamCoefficients& coefficients,
                                  const Surroundings& at, int64_t count, const AdamArrays& b) {
  const Ops ops = given;
  const auto k = coefficients.convert([](double c) { return broadcast<double>(c); });
  for (int64_t i = 0; i < count; i += kDoubleLanes) {
    const LaneEvents random(at.random, i);
    const AdamOps<Ops> step_ops{ops, random};
    const AdamValues<Doubles> before{load_doubles(b.parameter + i), load_doubles(b.average + i),
                                     load_doubles(b.square + i),
                                     k.amsgrad ? load_doubles(b.most + i) : Doubles{}};
    const AdamValues<Doubles> after =
        adam_element(k, step_ops, before, load_doubles(b.gradient + i));
    const auto store = [&](float* to, Doubles value, int64_t event) {
      store_doubles(to + i, at.stored(value, random, event));
    };
    store(b.average, after.average, kAdamAverageEvent);
    store(b.square, after.square, kAdamSquareEvent);
    store(b.parameter, after.parameter, kAdamParameterEvent);
    if (k.amsgrad) store(b.most, after.most, kAdamMostEvent);
  }
}

/// The events at which core's step draws.
uint32_t adam_events(const AdamCoefficients& k, bool fused, bool converts) {
  uint32_t events = 0;
  constexpr int kSteps[] = {1, 3, 4, 6, 7, 8, 9, 10, 11};
  for (const int step : kSteps) events |= 2u << (2 * step);
  const auto multiply_add = [&](int step) { events |= (fused ? 2u : 3u) << (2 * step); };
  multiply_add(2);
  multiply_add(5);
  if (k.decays && k.decoupled) events |= 2u;
  if (k.decays && !k.decoupled) multiply_add(0);
  if (converts) {
    events |= 1u << kAdamAverageEvent | 1u << kAdamSquareEvent | 1u << kAdamParameterEvent;
    if (k.amsgrad) events |= 1u << kAdamMostEvent;
  }
  return events;
}

}  // namespace

void run_emulated_adam(const AdamTask& task, const AdamPointers& at, int64_t begin, int64_t end) {
  const AdamCoefficients& k = task.coefficients;
  Source source = task.source;
  source.tensor = at.number;
  const uint32_t events = adam_events(k, task.arithmetic.fused, task.converts);
  with_emulated_ops(task.arithmetic, [&]<class Ops>(const Ops& ops) {
    const EnvironmentGuard guard(Ops::kAmbient);
    Surroundings surroundings{random_of(task.arithmetic, source, events),
                              Converter<double>(task.conversion), task.converts};
    Block space[5];
    for_blocks(surroundings.random, begin, end, [&](int64_t i, int64_t count) {
      const WrittenBlock parameter(task.scalar, at.parameter, i, count, space[0]);
      const WrittenBlock average(task.scalar, at.average, i, count, space[1]);
      const WrittenBlock square(task.scalar, at.square, i, count, space[2]);
      const WrittenBlock most(task.scalar, at.most, i, count, space[3]);
      adam_block(ops, k, surroundings, count,
                 {parameter.read(), read_block(task.scalar, at.gradient, i, count, space[4]),
                  average.read(), square.read(), k.amsgrad ? most.read() : nullptr});
      parameter.close();
      average.close();
      square.close();
      if (k.amsgrad) most.close();
    });
  });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
