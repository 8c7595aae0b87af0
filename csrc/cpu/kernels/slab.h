// SPDX-License-Identifier: MIT
// A slab: what a stretch of consecutive terms needs of the right operand for some channels (digit 0
// of the columns), copied with +0 where it lies outside, so that every tap of the window (digits
// 1..3 of the columns) finds its elements at one distance: no tap has a copy of its own.
//
// The stretch is cut into segments: some lines (digit 2 of the terms) of one plane, or a part of
// one line. Each segment fills a box of the same pitches:
//
//   slab[channel][segment][axis 0][axis 1][axis 2]
#pragma once

#include "../../core/conv.h"
#include "plan.h"
#include "vec.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// How coordinates of one spatial axis become places in a box.
struct SlabAxis {
  int64_t copied = 1;  ///< coordinates from one copied element to the next
  int64_t term = 0;    ///< copied elements per digit of the term
  int64_t tap = 0;     ///< per digit of the column
  int64_t memory = 0;  ///< elements of the operand per copied element
  int64_t taps = 1;

  /// Copied elements for so many digits of the term.
  int64_t extent(int64_t digits) const { return (digits - 1) * term + (taps - 1) * tap + 1; }
};

struct SlabShape {
  SlabAxis axis[kAxes];
  int64_t width = 0, lines = 0, segments = 0;  ///< of one slab
  int64_t box[kAxes] = {0, 0, 0};              ///< copied elements of one segment
  int64_t channel_pitch = 0;

  /// Whether term and column move the operand by steps along the same axes. Sets the axes.
  bool fits(const Contraction& problem) {
    for (int i = 0; i < kAxes; ++i) {
      const Operand& right = problem.right;
      const int64_t by_term = right.term.step[i], by_tap = right.outer.step[i];
      if (by_term <= 0 || by_tap <= 0) return false;
      const int64_t stride = right.term.offset.w[i + 1] / by_term;
      if (right.term.offset.w[i + 1] != by_term * stride) return false;
      if (right.outer.offset.w[i + 1] != by_tap * stride) return false;
      SlabAxis& a = axis[i];
      a.taps = problem.cols.d[i + 1];
      const int64_t common = detail::greatest_common_divisor(
          problem.terms.d[i + 1] > 1 ? by_term : 0, a.taps > 1 ? by_tap : 0);
      a.copied = at_least(common, 1);
      a.term = problem.terms.d[i + 1] > 1 ? by_term / a.copied : 0;
      a.tap = a.taps > 1 ? by_tap / a.copied : 0;
      a.memory = a.copied * stride;
    }
    return true;
  }

  /// Sets width, lines and segments for at most so many elements a channel, if that can be.
  void size(const Digits& terms, int64_t elements, int64_t most_terms) {
    width = terms.d[3];
    lines = terms.d[2];
    segments = 1;
    const auto box_elements = [&] {
      box[0] = axis[0].extent(1);
      box[1] = axis[1].extent(lines);
      box[2] = axis[2].extent(width);
      return box[0] * box[1] * box[2];
    };
    while (lines > 1 && (box_elements() > elements || lines * width > most_terms)) {
      lines = (lines + 1) / 2;
    }
    while (width > 1 && (box_elements() > elements || width > most_terms)) width = (width + 1) / 2;
    const int64_t one = box_elements();
    if (lines == terms.d[2] && width == terms.d[3]) {
      const int64_t planes = terms.d[0] * terms.d[1];
      segments = at_most(elements / one, at_most(most_terms / (lines * width), planes));
      segments = at_least(segments, 1);
      segments = ceil_div(planes, ceil_div(planes, segments));
    }
    // Overhang: copies and fills end in whole vectors.
    channel_pitch = (segments * one + kVectorBytes + 15) / 16 * 16;
  }

  int64_t most_terms() const { return segments * lines * width; }

  int64_t tap_offset(const Digits& column) const {
    return (column.d[1] * axis[0].tap * box[1] + column.d[2] * axis[1].tap) * box[2] +
           column.d[3] * axis[2].tap;
  }
};

/// Fills slabs for channels [first_channel, first_channel + channels) of one group.
template <class T, class S>
class SlabFiller {
 public:
  SlabFiller(const Contraction& problem, const SlabShape& shape, T* slab, int32_t* terms)
      : problem_(problem), shape_(shape), slab_(slab), terms_(terms) {}

  /// Copies the next slab from term `first` on and lists the offset of each of its terms; returns
  /// how many they are.
  int64_t fill(const S* data, int64_t first, int64_t first_channel, int64_t channels) {
    const Digits& radix = problem_.terms;
    const int64_t all = radix.product();
    int64_t count = 0;
    for (int64_t s = 0; s < shape_.segments && first + count < all; ++s) {
      const Digits at = radix.decode(first + count);
      const int64_t lines = at_most(shape_.lines, radix.d[2] - at.d[2]);
      const int64_t width = at_most(shape_.width, radix.d[3] - at.d[3]);
      const int64_t box = s * shape_.box[0] * shape_.box[1] * shape_.box[2];
      for (int64_t i = 0; i < lines; ++i) {
        const int64_t line = box + i * shape_.axis[1].term * shape_.box[2];
        for (int64_t j = 0; j < width; ++j) {
          terms_[count++] = static_cast<int32_t>(line + j * shape_.axis[2].term);
        }
      }
      Place origin = problem_.right.origin + problem_.right.term.place(at);
      origin.offset += first_channel * problem_.right.outer.offset.w[0];
      for (int64_t c = 0; c < channels; ++c) {
        copy_box(data, origin, lines, width, slab_ + c * shape_.channel_pitch + box);
        origin.offset += problem_.right.outer.offset.w[0];
      }
    }
    return count;
  }

 private:
  /// Lines are written in ascending sequence, each with an overhang that the next one overwrites.
  void copy_box(const S* data, const Place& origin, int64_t lines, int64_t width, T* box) const {
    const SlabAxis* axis = shape_.axis;
    const int64_t* extent = problem_.right.extent;
    const int64_t rows = axis[1].extent(lines), n = axis[2].extent(width);
    const int64_t x = origin.x[2], step = axis[2].copied;
    const int64_t begin = at_most(x >= 0 ? 0 : ceil_div(-x, step), n);
    const int64_t end =
        at_least(begin, at_most(n, x >= extent[2] ? 0 : (extent[2] - 1 - x) / step + 1));
    for (int64_t i = 0; i < axis[0].extent(1); ++i) {
      const int64_t x0 = origin.x[0] + i * axis[0].copied;
      for (int64_t j = 0; j < rows; ++j) {
        const int64_t x1 = origin.x[1] + j * axis[1].copied;
        T* to = box + (i * shape_.box[1] + j) * shape_.box[2];
        if (x0 < 0 || x0 >= extent[0] || x1 < 0 || x1 >= extent[1]) {
          zero(to, n);
        } else {
          const S* from = data + (origin.offset + i * axis[0].memory + j * axis[1].memory);
          zero(to, begin);
          copy_elements<T>(from + begin * axis[2].memory, axis[2].memory, end - begin, to + begin);
          zero(to + end, n - end);
        }
      }
    }
  }

  static void zero(T* to, int64_t n) {
    for (int64_t i = 0; i < n; i += kLanes<T>) store<T>(to + i, V<T>{});
  }

  const Contraction& problem_;
  const SlabShape& shape_;
  T* slab_;
  int32_t* terms_;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
