// SPDX-License-Identifier: MIT
// Elements whose type is known at run time only, and what both slow and fast kernels do with them.
#pragma once

#include "../calls/contraction.h"

namespace fpdet::cuda {

FPDET_HD inline double load_element(Scalar scalar, const void* data, int64_t at) {
  switch (scalar) {
    case Scalar::Float64:
      return static_cast<const double*>(data)[at];
    case Scalar::Float32:
      return widen(static_cast<const float*>(data)[at]);
    case Scalar::BFloat16:
      return widen(static_cast<const BFloat16*>(data)[at]);
    default:
      return widen(static_cast<const Float16*>(data)[at]);
  }
}

/// Stores a member of the element's format.
FPDET_HD inline void store_element(Scalar scalar, void* data, int64_t at, double member) {
  switch (scalar) {
    case Scalar::Float64:
      store(member, static_cast<double*>(data)[at]);
      break;
    case Scalar::Float32:
      store(member, static_cast<float*>(data)[at]);
      break;
    case Scalar::BFloat16:
      store(member, static_cast<BFloat16*>(data)[at]);
      break;
    default:
      store(member, static_cast<Float16*>(data)[at]);
  }
}

FPDET_HD inline Format element_format(Scalar scalar) {
  constexpr Format kFormats[] = {kFloat64, kFloat32, kBfloat16, kFloat16};
  return kFormats[static_cast<int>(scalar)];
}

/// Seed and counter read where they lie.
FPDET_HD inline Draw resolved(Draw draw) {
  if (draw.on_device != nullptr) {
    draw.seed = static_cast<uint64_t>(draw.on_device[0]);
    draw.counter = static_cast<uint64_t>(draw.on_device[1]);
    draw.on_device = nullptr;
  }
  return draw;
}

/// Whether every operand of such a call is a value of the hardware type behind the format.
FPDET_HD inline bool operands_fit(Scalar scalar, const Format& format) {
  return scalar != Scalar::Float64 || is_float64(format);
}

/// TermCursor over elements of a type known at run time; without products left() is the constant 1.
template <bool Product>
class AnyCursor {
 public:
  FPDET_HD AnyCursor(const Contraction& c, Scalar scalar, const void* left, const void* right,
                     int64_t group, const Digits& row, const Digits& col)
      : c_(c),
        scalar_(scalar),
        left_(left),
        right_(right),
        left_outer_(c.left.origin + c.left.outer.place(row)),
        right_outer_(c.right.origin + c.right.outer.place(col)) {
    left_outer_.offset += group * c.left.group_offset;
    right_outer_.offset += group * c.right.group_offset;
  }

  FPDET_HD void seek(int64_t term) {
    digits_ = c_.terms.decode(term);
    refresh();
  }
  FPDET_HD void advance() {
    int i = kDigits - 1;
    while (i > 0 && ++digits_.d[i] == c_.terms.d[i]) digits_.d[i--] = 0;
    if (i == 0) ++digits_.d[0];
    refresh();
  }
  FPDET_HD double left() const {
    if constexpr (!Product) return 1.0;
    return fetch(c_.left, left_, left_place_);
  }
  FPDET_HD double right() const { return fetch(c_.right, right_, right_place_); }

 private:
  FPDET_HD void refresh() {
    left_place_ = left_outer_ + c_.left.term.place(digits_);
    right_place_ = right_outer_ + c_.right.term.place(digits_);
  }
  FPDET_HD double fetch(const Operand& operand, const void* data, const Place& place) const {
    return operand.contains(place) ? load_element(scalar_, data, place.offset) : 0.0;
  }

  const Contraction& c_;
  Scalar scalar_;
  const void* left_;
  const void* right_;
  Place left_outer_, right_outer_, left_place_, right_place_;
  Digits digits_;
};

}  // namespace fpdet::cuda
