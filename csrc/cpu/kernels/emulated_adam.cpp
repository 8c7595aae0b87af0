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
  RandomEvents& random;

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

struct AdamBlocks {
  Block parameter, gradient, average, square, most;
};

template <class Ops>
[[gnu::noinline]] void adam_block(const Ops& given, const AdamCoefficients& coefficients,
                                  Surroundings& at, int64_t first, int64_t count, AdamBlocks& b) {
  const Ops ops = given;
  const auto k = coefficients.convert([](double c) { return broadcast<double>(c); });
  const AdamOps<Ops> step_ops{ops, at.random};
  for_runs(at.random, first, count, [&](int64_t i) {
    const auto load = [i](const Block& block) { return load_vector<Doubles>(block.x + i); };
    const auto store = [&](Block& block, Doubles value, int64_t event) {
      const Doubles stored = at.stored(value, event);
      std::memcpy(block.x + i, &stored, sizeof stored);
    };
    const AdamValues<Doubles> before{load(b.parameter), load(b.average), load(b.square),
                                     load(b.most)};
    const AdamValues<Doubles> after = adam_element(k, step_ops, before, load(b.gradient));
    store(b.average, after.average, kAdamAverageEvent);
    store(b.square, after.square, kAdamSquareEvent);
    store(b.parameter, after.parameter, kAdamParameterEvent);
    if (k.amsgrad) store(b.most, after.most, kAdamMostEvent);
  });
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
  source.first_sample = at.number;
  source.per_sample = at.count;
  const uint32_t events = adam_events(k, task.arithmetic.fused, task.converts);
  with_emulated_ops(task.arithmetic, [&]<class Ops>(const Ops& ops) {
    const EnvironmentGuard guard(Ops::kAmbient);
    Surroundings surroundings{random_of(task.arithmetic, source, events),
                              Converter<double>(task.conversion), task.converts};
    AdamBlocks b{};
    for (int64_t i = begin; i < end; i += kBlock) {
      const int64_t count = end - i < kBlock ? end - i : kBlock;
      widen_block(task.scalar, at.parameter, i, count, b.parameter);
      widen_block(task.scalar, at.gradient, i, count, b.gradient);
      widen_block(task.scalar, at.average, i, count, b.average);
      widen_block(task.scalar, at.square, i, count, b.square);
      if (k.amsgrad) widen_block(task.scalar, at.most, i, count, b.most);
      adam_block(ops, k, surroundings, i, count, b);
      narrow_block(task.scalar, b.parameter, i, count, at.parameter);
      narrow_block(task.scalar, b.average, i, count, at.average);
      narrow_block(task.scalar, b.square, i, count, at.square);
      if (k.amsgrad) narrow_block(task.scalar, b.most, i, count, at.most);
    }
  });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
