// SPDX-License-Identifier: MIT
// A contraction is what every pass of a convolution is: for each group g
//
//   output(row, col) = ordered sum over t = 0..T-1 of left(row, t) * right(col, t)
//
// Rows, columns and terms are numbers in a mixed radix of four digits, the last one fastest: digit
// 0 moves no coordinate (n, c or k), digits 1..3 move the operand's spatial coordinates 0..2. Both
// the element's offset and its coordinates are affine in the digits. An element whose coordinates
// lie outside the operand is the operand +0: it takes part in the sum.
#pragma once

#include <cstdint>

#include "config.h"
#include "element.h"

namespace fpdet::inline FPDET_TARGET {

inline constexpr int kAxes = 3;
inline constexpr int kDigits = 1 + kAxes;

/// Digits of a number: counts per digit when it describes a radix.
struct Digits {
  int64_t d[kDigits] = {1, 1, 1, 1};

  FPDET_HD int64_t product() const { return d[0] * d[1] * d[2] * d[3]; }

  /// The digits of `number` in the radix that *this describes.
  FPDET_HD Digits decode(int64_t number) const {
    Digits result;
    for (int i = kDigits - 1; i > 0; --i) {
      result.d[i] = number % d[i];
      number /= d[i];
    }
    result.d[0] = number;
    return result;
  }
  /// From the digits of a number to those of the next.
  FPDET_HD void advance(Digits& digits) const {
    int i = kDigits - 1;
    while (i > 0 && ++digits.d[i] == d[i]) digits.d[i--] = 0;
    if (i == 0) ++digits.d[0];
  }
};

/// What one unit of each digit adds to a quantity.
struct Weights {
  int64_t w[kDigits] = {0, 0, 0, 0};

  FPDET_HD int64_t dot(const Digits& digits) const {
    int64_t sum = 0;
    for (int i = 0; i < kDigits; ++i) sum += w[i] * digits.d[i];
    return sum;
  }
};

/// An element's offset from the operand's data pointer and its spatial coordinates.
struct Place {
  int64_t offset = 0;
  int64_t x[kAxes] = {0, 0, 0};

  FPDET_HD friend Place operator+(Place a, const Place& b) {
    a.offset += b.offset;
    for (int i = 0; i < kAxes; ++i) a.x[i] += b.x[i];
    return a;
  }
};

/// Offsets and coordinates of the part of a place that rows, columns or terms decide.
struct Walk {
  Weights offset;                   ///< elements per digit
  int64_t step[kAxes] = {0, 0, 0};  ///< coordinates per digit 1..3

  FPDET_HD Place place(const Digits& digits) const {
    Place p;
    p.offset = offset.dot(digits);
    for (int i = 0; i < kAxes; ++i) p.x[i] = step[i] * digits.d[i + 1];
    return p;
  }
};

/// One side of the products.
struct Operand {
  int64_t group_offset = 0;           ///< elements from one group to the next
  Place origin;                       ///< place at row (column) 0, term 0
  int64_t extent[kAxes] = {1, 1, 1};  ///< coordinates in [0, extent) lie inside
  Walk outer;                         ///< by row (left) or column (right)
  Walk term;

  FPDET_HD bool contains(const Place& p) const {
    bool inside = true;
    for (int i = 0; i < kAxes; ++i) inside &= p.x[i] >= 0 && p.x[i] < extent[i];
    return inside;
  }
};

/// Where an output element lies, and how it is numbered inside its sample (for random bits).
struct Output {
  int64_t base = 0, group_offset = 0;
  Weights row, col;
  int64_t element_base = 0, element_group = 0;
  Weights element_row, element_col;
  Weights sample_col;                      ///< the sample's number, by the column's digits ...
  int64_t sample_group = 0;                ///< ... and so many more after
  int64_t groups_per_sample = kAllGroups;  ///< so many groups

  static constexpr int64_t kAllGroups = INT64_MAX;

  FPDET_HD int64_t offset(int64_t group, const Digits& r, const Digits& c) const {
    return base + group * group_offset + row.dot(r) + col.dot(c);
  }
  FPDET_HD int64_t element(int64_t group, const Digits& r, const Digits& c) const {
    return element_base + group % groups_per_sample * element_group + element_row.dot(r) +
           element_col.dot(c);
  }
  FPDET_HD int64_t sample(int64_t group, const Digits& c) const {
    return group / groups_per_sample * sample_group + sample_col.dot(c);
  }
  /// Whether columns lie in several samples, as those of an activation do, not those of a weight.
  FPDET_HD bool has_samples() const {
    return (sample_col.w[0] | sample_col.w[1] | sample_col.w[2] | sample_col.w[3]) != 0;
  }
};

struct Contraction {
  int64_t groups = 1;
  Digits rows, cols, terms;  ///< radices
  Operand left, right;
  Output out;
  bool product = true;       ///< false: a sum of the right operand, the left one is the constant 1
  bool right_first = false;  ///< a product's factors are right * left: random bits may hang on it

  FPDET_HD int64_t outputs() const { return groups * rows.product() * cols.product(); }
};

/// Reads the operands of one output element, term by term. Elements: what [] of a place gives as a
/// double.
template <class Elements>
class TermCursor {
 public:
  FPDET_HD TermCursor(const Contraction& c, const Elements& left, const Elements& right,
                      int64_t group, const Digits& row, const Digits& col)
      : c_(c),
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
    c_.terms.advance(digits_);
    refresh();
  }
  /// The factors of a product, in their sequence; of a sum without products the second counts.
  FPDET_HD double left() const { return c_.right_first ? right_operand() : left_operand(); }
  FPDET_HD double right() const { return c_.right_first ? left_operand() : right_operand(); }

 private:
  FPDET_HD void refresh() {
    left_place_ = left_outer_ + c_.left.term.place(digits_);
    right_place_ = right_outer_ + c_.right.term.place(digits_);
  }
  FPDET_HD double left_operand() const {
    return c_.product ? fetch(c_.left, left_, left_place_) : 1.0;
  }
  FPDET_HD double right_operand() const { return fetch(c_.right, right_, right_place_); }
  FPDET_HD static double fetch(const Operand& operand, const Elements& data, const Place& place) {
    return operand.contains(place) ? data[place.offset] : 0.0;
  }

  const Contraction& c_;
  Elements left_, right_;
  Place left_outer_, right_outer_, left_place_, right_place_;
  Digits digits_;
};

}  // namespace fpdet::inline FPDET_TARGET
