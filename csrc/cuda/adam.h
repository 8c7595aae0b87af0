// SPDX-License-Identifier: MIT
// One step of Adam of many tensors in one launch: every arithmetic, straight from core.
#pragma once

#include "outline.h"
// outline.h stands before all of core

#include "../calls/adam.h"
#include "../calls/random_of.h"
#include "block.h"
#include "machine.h"
#include "tensor_table.h"
#include "values.h"

namespace fpdet::cuda {

struct AdamTask {
  Scalar scalar;
  Arithmetic arithmetic;
  Draw draw;
  AdamCoefficients coefficients;
  TensorTable<AdamTensor> tensors;
};

struct AdamElements {
  using Task = AdamTask;
  using Shared = Nothing;
  static constexpr int kThreads = 128, kResident = 1;
  FPDET_HD static Rounding rounding(const Task& task) { return task.arithmetic.rounding; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    const Arithmetic& arithmetic = task.arithmetic;
    const Arith arith(arithmetic, operands_fit(task.scalar, arithmetic.format));
    const Draw draw = resolved(task.draw);
    for_chunks(task.tensors, block, [&](const AdamTensor& t, int64_t begin, int64_t end) {
      const ElementwiseSource source(arithmetic.stochastic, arithmetic.rounding, draw, t.number, 0);
      for (int64_t i = begin + block.thread(); i < end; i += kThreads) {
        one(task, arith, source.of(i), t, i);
      }
    });
  }

 private:
  FPDET_HD static void one(const Task& task, const Arith& arith, ElementwiseBits random,
                           const AdamTensor& t, int64_t i) {
    const auto load = [&](const void* data) { return load_element(task.scalar, data, i); };
    const AdamValues<double> before{load(t.parameter), load(t.average), load(t.square),
                                    t.most != nullptr ? load(t.most) : 0.0};
    const AdamValues<double> after =
        adam_element(task.coefficients, arith, before, load(t.gradient), random);
    const Format own = element_format(task.scalar);
    const auto store = [&](double x, int64_t event, void* to) {
      store_element(task.scalar, to, i, arith.round_to(x, own, random, event));
    };
    store(after.average, kAdamAverageEvent, t.average);
    store(after.square, kAdamSquareEvent, t.square);
    store(after.parameter, kAdamParameterEvent, t.parameter);
    if (t.most != nullptr) store(after.most, kAdamMostEvent, t.most);
  }
};

template <class Machine>
void adam_elements(const AdamCall& call, Machine& machine) {
  AdamTask task{call.scalar,
                call.arithmetic,
                call.draw,
                adam_coefficients(call.scalars, call.arithmetic.format),
                {}};
  launch_tables<AdamElements>(task, call.tensors, machine);
}

}  // namespace fpdet::cuda
