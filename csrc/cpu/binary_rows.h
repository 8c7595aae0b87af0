// SPDX-License-Identifier: MIT
// The rows of a binary operation (elementwise.h), one after the other.
#pragma once

#include <algorithm>

#include "elementwise.h"
#include "kernels/binary_row.h"

namespace fpdet::cpu {

/// f(parts, count) for the parts of rows that the elements [begin, end) of a call lie in, some at a
/// time: what a call of f costs is small beside them.
template <class F>
void for_rows(const BinaryCall& call, int64_t begin, int64_t end, const F& f) {
  const auto element_bytes =
      with_scalar(call.scalar, []<class T>(T) { return static_cast<int64_t>(sizeof(T)); });
  const auto at_row = [&](const BinaryOperand& operand, int64_t number) {
    const char* data = static_cast<const char*>(operand.data);
    if (data != nullptr) data += call.place_of_row(operand, number) * element_bytes;
    return BinarySource{data, operand.number, operand.column};
  };
  constexpr int64_t kParts = 64;
  BinaryRow parts[kParts];
  int64_t count = 0;
  while (begin < end) {
    const int64_t number = begin / call.columns, first = number * call.columns;
    const int64_t stop = std::min(end, first + call.columns);
    parts[count++] = {at_row(call.a, number),
                      at_row(call.b, number),
                      static_cast<char*>(call.out) + first * element_bytes,
                      first,
                      begin - first,
                      stop - first};
    begin = stop;
    if (count == kParts || begin == end) {
      f(parts, count);
      count = 0;
    }
  }
}

}  // namespace fpdet::cpu
