// SPDX-License-Identifier: MIT
// The elementary functions on a GPU: a thread's loop around core's definition.
#pragma once

#include "outline.h"
// outline.h stands before all of core

#include "../calls/random_of.h"
#include "../calls/unary.h"
#include "block.h"
#include "machine.h"
#include "values.h"

namespace fpdet::cuda {

template <Function F>
struct UnaryElements {
  using Task = UnaryCall;
  using Shared = Nothing;
  static constexpr int kThreads = 128, kResident = 1;
  /// The evaluation's; that of the result is emulated.
  FPDET_HD static constexpr Rounding rounding(const Task&) { return Rounding::NearestEven; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    const Draw draw = resolved(task.draw);
    const Arithmetic& arithmetic = task.arithmetic;
    const Arith arith(arithmetic, false);
    const Format own = element_format(task.scalar);
    const ElementwiseSource source =
        source_of(arithmetic.stochastic, arithmetic.rounding, draw, task.per_sample);
    for_share<UnaryElements>(block, task.count, [&](int64_t i) {
      ElementwiseBits random = source.of(i);
      const double x = load_element(task.scalar, task.x, i);
      store_element(task.scalar, task.out, i, unary_element<F>(arith, x, own, random));
    });
  }
};

template <class Machine>
void unary_elements(const UnaryCall& call, Machine& machine) {
  with_function(call.function, [&]<Function F>() {
    using Kernel = UnaryElements<F>;
    machine.template launch<Kernel>(blocks_for<Kernel>(machine, call.count), call);
  });
}

}  // namespace fpdet::cuda
