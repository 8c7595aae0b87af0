// SPDX-License-Identifier: MIT
// What the two methods for sums share (across.cpp, along.cpp): contractions of one row whose
// outputs are columns, or groups of one column, and whose operands lie inside the tensors.
#pragma once

#include "lanes.h"
#include "output.h"
#include "pack.h"
#include "plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// The last digit that counts; the last of all where none does.
inline int last_digit(const Digits& radix) {
  int digit = kDigits - 1;
  while (digit > 0 && radix.d[digit] == 1) --digit;
  return radix.d[digit] == 1 ? kDigits - 1 : digit;
}

/// Digits::decode of core, without divisions by 1.
inline Digits decode_digits(const Digits& radix, int64_t number) {
  Digits digits{{0, 0, 0, 0}};
  for (int i = kDigits - 1; i > 0 && number != 0; --i) {
    if (radix.d[i] == 1) continue;
    digits.d[i] = number % radix.d[i];
    number /= radix.d[i];
  }
  digits.d[0] = number;
  return digits;
}

/// Where an output's operands and the output itself begin.
struct SumPlace {
  int64_t left, right, out;
};

struct SumGeometry {
  const Contraction& problem;
  bool grouped;  ///< outputs are groups, not columns

  explicit SumGeometry(const Task& task)
      : problem(task.problem), grouped(task.problem.groups > 1) {}

  int64_t outputs() const { return grouped ? problem.groups : problem.cols.product(); }

  SumPlace place(int64_t output) const {
    const int64_t group = grouped ? output : 0;
    const Digits col = grouped ? Digits{{0, 0, 0, 0}} : decode_digits(problem.cols, output);
    const Digits row{{0, 0, 0, 0}};
    return {problem.left.origin.offset + group * problem.left.group_offset,
            problem.right.origin.offset + group * problem.right.group_offset +
                problem.right.outer.offset.dot(col),
            problem.out.offset(group, row, col)};
  }
};

inline bool lies_inside(const Operand& operand, const Digits& outer, const Digits& terms) {
  const UnsafeAxes unsafe(operand, outer, terms);
  return !unsafe.axis[0] && !unsafe.axis[1] && !unsafe.axis[2];
}

/// Whether a task is such a sum.
inline bool is_sum(const Task& task) {
  const Contraction& problem = task.problem;
  return tree_on_hardware(task) && task.rows == 1 && task.bias == nullptr &&
         (problem.groups == 1 || task.cols == 1) &&
         lies_inside(problem.left, problem.rows, problem.terms) &&
         lies_inside(problem.right, problem.cols, problem.terms);
}

/// One term: what is added to a sum of products, each fused or not, or of plain terms.
enum class SumTerm { Plain, Fused, Unfused };

template <SumTerm M, class T>
FPDET_INLINE V<T> add_term(V<T> acc, V<T> left, V<T> right) {
  if constexpr (M == SumTerm::Plain) return acc + right;
  if constexpr (M == SumTerm::Fused) return fma<T>(left, right, acc);
  return acc + left * right;
}

template <class F>
void with_term(const Task& task, F&& f) {
  if (!task.problem.product) return f.template operator()<SumTerm::Plain>();
  if (task.arithmetic.fused) return f.template operator()<SumTerm::Fused>();
  f.template operator()<SumTerm::Unfused>();
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
