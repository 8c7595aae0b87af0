// SPDX-License-Identifier: MIT
// Operands of 16 bits as float32, which the tiled kernels read: a copy of the stretch of memory
// that a contraction touches.
#pragma once

#include "machine.h"
#include "values.h"

namespace fpdet::cuda {

struct WidenTask {
  Scalar scalar;
  const void* from;
  float* to;
  int64_t count;
};

struct Widen {
  using Task = WidenTask;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 4;
  FPDET_HD static constexpr Rounding rounding(const Task&) { return Rounding::NearestEven; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    for_share<Widen>(block, task.count, [&](int64_t i) {
      task.to[i] = static_cast<float>(load_element(task.scalar, task.from, i));
    });
  }
};

struct Stretch {
  int64_t first = 0, last = -1;  ///< places from the operand's pointer

  /// The places that the elements of an operand lie at; those outside of it are not read.
  static Stretch of(const Operand& operand, int64_t groups, const Digits& outer,
                    const Digits& terms) {
    Stretch s{operand.origin.offset, operand.origin.offset};
    const auto reach = [&](int64_t step, int64_t count) {
      (step < 0 ? s.first : s.last) += step * (count - 1);
    };
    reach(operand.group_offset, groups);
    for (int i = 0; i < kDigits; ++i) {
      reach(operand.outer.offset.w[i], outer.d[i]);
      reach(operand.term.offset.w[i], terms.d[i]);
    }
    // Padding reaches beyond: along an axis the element at coordinate x has the place of the one at
    // 0 and x times the stride between them.
    for (int a = 0; a < kAxes; ++a) {
      const int64_t outer_step = operand.outer.step[a], term_step = operand.term.step[a];
      const int64_t stride = outer_step != 0  ? operand.outer.offset.w[a + 1] / outer_step
                             : term_step != 0 ? operand.term.offset.w[a + 1] / term_step
                                              : 0;
      int64_t low = operand.origin.x[a], high = low;
      const auto move = [&](int64_t step, int64_t count) {
        (step < 0 ? low : high) += step * (count - 1);
      };
      move(outer_step, outer.d[a + 1]);
      move(term_step, terms.d[a + 1]);
      if (low < 0) (stride < 0 ? s.last : s.first) -= low * stride;
      const int64_t beyond = high - (operand.extent[a] - 1);
      if (beyond > 0) (stride < 0 ? s.first : s.last) -= beyond * stride;
    }
    return s;
  }
};

/// The operand's pointer into a float32 copy.
template <class Machine>
const void* widened(Machine& machine, Scalar scalar, const void* data, const Stretch& s) {
  if (s.last < s.first) return data;
  WidenTask task{scalar, static_cast<const uint16_t*>(data) + s.first, nullptr,
                 s.last - s.first + 1};
  task.to = machine.template allocate<float>(task.count);
  machine.template launch<Widen>(blocks_for<Widen>(machine, task.count), task);
  return task.to - s.first;
}

}  // namespace fpdet::cuda
