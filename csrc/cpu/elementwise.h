// SPDX-License-Identifier: MIT
// Ops without a reduction on the CPU. The operands of a binary operation may be broadcast.
#pragma once

#include <cstdint>
#include <vector>

#include "../calls/elementwise.h"
#include "../core/binary.h"
#include "contraction.h"

namespace fpdet::cpu {

using fpdet::RoundCall;
using fpdet::SgdCall;
using fpdet::SgdTensor;

/// A tensor that is read row by row, or one number.
struct BinaryOperand {
  const void* data = nullptr;    ///< null: the number
  double number = 0;             ///< a member of the accumulator's format
  int64_t column = 1;            ///< places from one column to the next: 0 or 1
  std::vector<int64_t> strides;  ///< places from row to row, by digit of the row's number
};

/// out[i] = a op b, rounded by the Arithmetic, then into the element type. Rows are numbered in a
/// mixed radix, the last digit fastest; out has them one after the other.
struct BinaryCall {
  Scalar scalar = Scalar::Float32;
  BinaryOperation operation = BinaryOperation::Add;
  Arithmetic arithmetic;
  Draw draw;
  int64_t count = 0;  ///< elements of all rows
  int64_t per_sample = 1;
  int64_t columns = 0;        ///< elements of a row
  std::vector<int64_t> rows;  ///< the radix
  BinaryOperand a, b;
  void* out = nullptr;
};

// Whether there is a kernel; the call's sizes and pointers are not looked at.
bool fast_round_covers(const RoundCall& call);
bool fast_binary_covers(const BinaryCall& call);
bool fast_sgd_covers(const SgdCall& call);

// The kernels, and the definition itself for every combination: the same bits.
void fast_round(const RoundCall& call, const ParallelFor& parallel_for);
void fast_binary(const BinaryCall& call, const ParallelFor& parallel_for);
void fast_sgd(const SgdCall& call, const ParallelFor& parallel_for);
void slow_round(const RoundCall& call, const ParallelFor& parallel_for);
void slow_binary(const BinaryCall& call, const ParallelFor& parallel_for);
void slow_sgd(const SgdCall& call, const ParallelFor& parallel_for);

}  // namespace fpdet::cpu
