// SPDX-License-Identifier: MIT
// A part of a row of a binary operation, as plain pointers: the same type for every instruction
// set.
#pragma once

#include <cstdint>

namespace fpdet::cpu {

struct BinarySource {
  const void* data = nullptr;  ///< of the row's first element; null: the number
  double number = 0;           ///< a member of the accumulator's format
  int64_t column = 1;          ///< places from one column to the next: 0 or 1
};

struct BinaryRow {
  BinarySource a, b;
  void* out = nullptr;
  int64_t first = 0;           ///< number of the row's first element
  int64_t begin = 0, end = 0;  ///< columns of the part
};

}  // namespace fpdet::cpu
