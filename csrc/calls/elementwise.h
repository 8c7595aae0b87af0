// SPDX-License-Identifier: MIT
// Ops without a reduction, as numbers and pointers. Element i lies at place i, if not said
// otherwise: tensors without gaps, row-major where random bits are drawn, in any order common to
// all operands otherwise.
#pragma once

#include <cstdint>
#include <vector>

#include "../core/binary.h"
#include "../core/sgd.h"
#include "contraction.h"

namespace fpdet::inline FPDET_TARGET {

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

/// Digits of a row's number, at most.
inline constexpr int kRowDigits = 8;

/// A tensor that is read row by row, or one number.
struct BinaryOperand {
  const void* data = nullptr;        ///< null: the number
  double number = 0;                 ///< a member of the accumulator's format
  int64_t column = 1;                ///< places from one column to the next: 0 or 1
  int64_t strides[kRowDigits] = {};  ///< places from row to row, by digit of the row's number
};

/// out[i] = a op b, rounded by the Arithmetic, then into the element type; a and b may be
/// broadcast. Rows are numbered in a mixed radix, the last digit fastest; out has them one after
/// the other.
struct BinaryCall {
  Scalar scalar = Scalar::Float32;
  BinaryOperation operation = BinaryOperation::Add;
  Arithmetic arithmetic;
  Draw draw;
  int64_t count = 0;  ///< elements of all rows
  int64_t per_sample = 1;
  int64_t columns = 0;  ///< elements of a row
  int digits = 0;
  int64_t rows[kRowDigits] = {};  ///< the radix
  BinaryOperand a, b;
  void* out = nullptr;

  /// Places from an operand's pointer to its first element of a row.
  FPDET_HD int64_t place_of_row(const BinaryOperand& operand, int64_t number) const {
    int64_t place = 0;
    for (int d = digits - 1; d >= 0; --d) {
      place += number % rows[d] * operand.strides[d];
      number /= rows[d];
    }
    return place;
  }
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

}  // namespace fpdet::inline FPDET_TARGET
