// SPDX-License-Identifier: MIT
// Ops of one or two operands without a reduction on a GPU: every combination, one element at a
// time, straight from core.
#pragma once

#include "outline.h"
// outline.h stands before all of core

#include "../calls/elementwise.h"
#include "../calls/random_of.h"
#include "block.h"
#include "machine.h"
#include "values.h"

namespace fpdet::cuda {

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
    const ElementwiseSource source =
        source_of(task.stochastic, task.rounding, draw, task.per_sample);
    for_share<RoundElements>(block, task.count, [&](int64_t i) {
      ElementwiseBits random = source.of(i);
      const double x = load_element(task.scalar, task.x, i);
      const double member = arith.round_to(x, task.format, random, 0);
      store_element(task.scalar, task.out, i, arith.round_to(member, own, random, 1));
    });
  }
};

struct BinaryElements {
  using Task = BinaryCall;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 2;
  FPDET_HD static Rounding rounding(const Task& task) { return task.arithmetic.rounding; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    const Draw draw = resolved(task.draw);
    const Arithmetic& arithmetic = task.arithmetic;
    const Arith arith(arithmetic, operands_fit(task.scalar, arithmetic.format));
    const Format own = element_format(task.scalar);
    const auto value = [&](const BinaryOperand& operand, int64_t row, int64_t column) {
      if (operand.data == nullptr) return operand.number;
      return load_element(task.scalar, operand.data,
                          task.place_of_row(operand, row) + column * operand.column);
    };
    const ElementwiseSource source =
        source_of(arithmetic.stochastic, arithmetic.rounding, draw, task.per_sample);
    for_share<BinaryElements>(block, task.count, [&](int64_t i) {
      const int64_t row = i / task.columns, column = i - row * task.columns;
      ElementwiseBits random = source.of(i);
      const double result = binary_element(arith, task.operation, value(task.a, row, column),
                                           value(task.b, row, column), random);
      store_element(task.scalar, task.out, i, arith.round_to(result, own, random, 1));
    });
  }
};

template <class Machine>
void round_elements(const RoundCall& call, Machine& machine) {
  machine.template launch<RoundElements>(blocks_for<RoundElements>(machine, call.count), call);
}
template <class Machine>
void binary_elements(const BinaryCall& call, Machine& machine) {
  machine.template launch<BinaryElements>(blocks_for<BinaryElements>(machine, call.count), call);
}

}  // namespace fpdet::cuda
