// SPDX-License-Identifier: MIT
// Ops without a reduction on a GPU: every combination, one element at a time, straight from core.
// (sgd.h has SGD under hardware roundings.)
#pragma once

#include "outline.h"
// outline.h stands before all of core

#include "../calls/elementwise.h"
#include "block.h"
#include "machine.h"
#include "values.h"

namespace fpdet::cuda {

/// The random source of element i of a call that counts samples.
FPDET_HD inline RandomBits random_of(const StochasticSpec& spec, Rounding rounding,
                                     const Draw& draw, uint32_t sample, int64_t element) {
  if (rounding != Rounding::Stochastic) return {};
  return {spec,
          element_key(draw.seed, draw.counter, draw.pass, sample, static_cast<uint64_t>(element))};
}
FPDET_HD inline uint32_t sample_of(const Draw& draw, int64_t per_sample, int64_t i) {
  return static_cast<uint32_t>(draw.batch_offset + i / per_sample);
}

struct RoundElements {
  using Task = RoundCall;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 2;
  FPDET_HD static Rounding rounding(const Task& task) { return task.rounding; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    const Draw draw = resolved(task.draw);
    const Arith arith({task.rounding, task.format, true, task.stochastic}, false);
    const Format own = element_format(task.scalar);
    for_share<RoundElements>(block, task.count, [&](int64_t i) {
      RandomBits random = random_of(task.stochastic, task.rounding, draw,
                                    sample_of(draw, task.per_sample, i), i % task.per_sample);
      const double x = load_element(task.scalar, task.x, i);
      const double member = arith.round_to(x, task.format, random, 0);
      store_element(task.scalar, task.out, i, arith.round_to(member, own, random, 1));
    });
  }
};

struct AddElements {
  using Task = AddCall;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 2;
  FPDET_HD static Rounding rounding(const Task& task) { return task.arithmetic.rounding; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    const Draw draw = resolved(task.draw);
    const Arithmetic& arithmetic = task.arithmetic;
    const Arith arith(arithmetic, operands_fit(task.scalar, arithmetic.format));
    const Format own = element_format(task.scalar);
    for_share<AddElements>(block, task.count, [&](int64_t i) {
      RandomBits random = random_of(arithmetic.stochastic, arithmetic.rounding, draw,
                                    sample_of(draw, task.per_sample, i), i % task.per_sample);
      const double sum = arith.add(load_element(task.scalar, task.a, i),
                                   load_element(task.scalar, task.b, i), random, 0);
      store_element(task.scalar, task.out, i, arith.round_to(sum, own, random, 1));
    });
  }
};

template <class Machine>
void round_elements(const RoundCall& call, Machine& machine) {
  machine.template launch<RoundElements>(blocks_for<RoundElements>(machine, call.count), call);
}
template <class Machine>
void add_elements(const AddCall& call, Machine& machine) {
  machine.template launch<AddElements>(blocks_for<AddElements>(machine, call.count), call);
}

}  // namespace fpdet::cuda
