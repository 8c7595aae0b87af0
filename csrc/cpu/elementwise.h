// SPDX-License-Identifier: MIT
// Ops without a reduction, as numbers and pointers. Element i lies at place i: tensors without
// gaps, row-major where random bits are drawn, in any order common to all operands otherwise. The
// operands of a binary operation may be broadcast.
#pragma once

#include <cstdint>
#include <vector>

#include "../core/binary.h"
#include "../core/sgd.h"
#include "contraction.h"

namespace fpdet::cpu {

/// out[i] = round(x[i]) into `format`, then into the element type (docs/semantics.md section 8).
struct RoundCall {
  Scalar scalar = Scalar::Float32;
  Format format = kFloat32;
  Rounding rounding = Rounding::NearestEven;
  StochasticSpec stochastic;
  Draw draw;
  int64_t count = 0;
  int64_t per_sample = 1;
  const void* x = nullptr;
  void* out = nullptr;
};

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

struct SgdTensor {
  int64_t count = 0;
  uint32_t number = 0;  ///< in the op's list
  void* parameter = nullptr;
  const void* gradient = nullptr;
  void* buffer = nullptr;  ///< null without momentum
};

/// One step of every tensor, all of one element type.
struct SgdCall {
  Scalar scalar = Scalar::Float32;
  SgdScalars scalars;
  Arithmetic arithmetic;
  Draw draw;
  std::vector<SgdTensor> tensors;
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
