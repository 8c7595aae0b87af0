// SPDX-License-Identifier: MIT
// A contraction without taps whose spatial axes lie in memory as one line (1x1 kernels of stride 1)
// is the same contraction with one axis. Numbers of rows, columns and terms stay what they are:
// their last three digits become one.
#pragma once

#include "pack.h"

namespace fpdet::inline FPDET_TARGET::kernels {

class Flattening {
 public:
  explicit Flattening(const Contraction& c) : flat_(c) {
    const UnsafeAxes unsafe(c.right, c.cols, c.terms);
    possible_ = c.product && size(c.rows) == 1 && (size(c.cols) == 1 || size(c.terms) == 1);
    for (int i = 0; i < kAxes; ++i) {
      possible_ &= !unsafe.axis[i] && c.left.outer.step[i] == 0 && c.left.term.step[i] == 0;
    }
    Operand& right = flat_.right;
    flatten(right.outer.offset, c.cols);
    flatten(right.term.offset, c.terms);
    // Both digits walk the same axis: what one of them lacks does not count.
    const int64_t pitch = size(c.cols) > 1 ? right.outer.offset.w[3] : right.term.offset.w[3];
    right.outer.offset.w[3] = right.term.offset.w[3] = pitch;
    for (int i = 0; i < kAxes; ++i) {
      right.outer.step[i] = right.term.step[i] = 1;
      right.origin.x[i] = 0;
      right.extent[i] = i < 2 ? 1 : size(c.cols) * size(c.terms);
    }
    flatten(flat_.left.term.offset, c.terms);
    flatten(flat_.out.col, c.cols);
    flatten(flat_.out.element_col, c.cols);
    flatten(flat_.out.sample_col, c.cols);
    flat_.cols = line(c.cols);
    flat_.terms = line(c.terms);
  }

  bool possible() const { return possible_; }
  const Contraction& result() const { return flat_; }

 private:
  static int64_t size(const Digits& radix) { return radix.d[1] * radix.d[2] * radix.d[3]; }
  static Digits line(const Digits& radix) { return Digits{{radix.d[0], 1, 1, size(radix)}}; }

  /// Makes w what the digits of line(radix) weigh, or finds that they do not.
  void flatten(Weights& w, const Digits& radix) {
    int64_t step = 0, run = 1;  // of the number, and up to the digit
    for (int i = kDigits - 1; i > 0; --i) {
      if (radix.d[i] > 1) {
        if (run == 1) step = w.w[i];
        possible_ &= w.w[i] == run * step;
      }
      run *= radix.d[i];
      w.w[i] = 0;
    }
    w.w[3] = step;
  }

  Contraction flat_;
  bool possible_;
};

/// The contraction on one axis where that is possible, else itself.
inline Contraction flattened(const Contraction& c) {
  const Flattening flattening(c);
  return flattening.possible() ? flattening.result() : c;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
