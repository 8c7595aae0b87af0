// SPDX-License-Identifier: MIT
// Geometry of the window method: which right operands a box of columns meets, and their places in
// a compact copy of them.
#pragma once

#include "../../core/contraction.h"
#include "pack.h"
#include "plan.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Columns first.d[i] to first.d[i] + size.d[i] - 1 of each digit.
struct Box {
  Digits first, size;
};

/// The coordinates of the right operand on one axis that columns and terms meet: low, low + grain,
/// ...
struct WindowAxis {
  int64_t grain = 1;
  int64_t by_column = 0, by_term = 0;  ///< grains per unit of the digit
  int64_t reach = 0;                   ///< grains that terms add, first to last
  int64_t lowest_term = 0;             ///< coordinates that a term adds at least
  int64_t pitch = 0;                   ///< elements of the operand per coordinate
};

struct WindowGeometry {
  WindowAxis axis[kAxes];
  bool regular = true;         ///< offsets follow from coordinates, as the window needs it
  int64_t base = 0;            ///< offset of coordinates 0, digits 0
  int64_t taps = 1;            ///< terms per unit of the term's first digit
  bool channels_last = false;  ///< units of the term's first digit are neighbours in the operand
  bool strips = false;         ///< no taps, and nothing lies outside: see WindowLayout

  explicit WindowGeometry(const Contraction& c) : base(c.right.origin.offset) {
    const Operand& right = c.right;
    for (int i = 0; i < kAxes; ++i) {
      WindowAxis& a = axis[i];
      const int64_t cols = c.cols.d[i + 1], terms = c.terms.d[i + 1];
      const int64_t by_column = cols > 1 ? right.outer.step[i] : 0;
      const int64_t by_term = terms > 1 ? right.term.step[i] : 0;
      const int64_t column_offset = cols > 1 ? right.outer.offset.w[i + 1] : 0;
      const int64_t term_offset = terms > 1 ? right.term.offset.w[i + 1] : 0;
      int64_t rest = by_term < 0 ? -by_term : by_term;
      a.grain = by_column;
      while (rest != 0) {
        const int64_t next = a.grain % rest;
        a.grain = rest;
        rest = next;
      }
      a.grain = at_least(a.grain, 1);
      a.by_column = by_column / a.grain;
      a.by_term = by_term / a.grain;
      a.lowest_term = by_term < 0 ? by_term * (terms - 1) : 0;
      a.reach = (a.by_term < 0 ? -a.by_term : a.by_term) * (terms - 1);
      // Whichever digit moves the axis tells the pitch; both must agree with it.
      a.pitch = by_column != 0 ? column_offset / by_column
                : by_term != 0 ? term_offset / by_term
                               : right.outer.offset.w[i + 1];
      regular = regular && by_column >= 0 && column_offset == by_column * a.pitch &&
                term_offset == by_term * a.pitch;
      base -= right.origin.x[i] * a.pitch;
      taps *= at_least(terms, 1);
    }
    channels_last = right.term.offset.w[0] == 1 && c.terms.d[0] > 1 && axis[2].pitch != 1;
    const UnsafeAxes unsafe(right, c.cols, c.terms);
    strips = taps == 1 && !channels_last && !unsafe.axis[0] && !unsafe.axis[1] && !unsafe.axis[2];
  }
};

/// Columns of a micro-tile: sizes differ by at most one.
struct WindowTiles {
  int64_t all, count, base, extra;

  explicit WindowTiles(int64_t columns)
      : all(columns),
        count(ceil_div(columns, kMaxRows)),
        base(count > 0 ? columns / count : 0),
        extra(count > 0 ? columns % count : 0) {}
  int64_t columns(int64_t tile) const { return base + (tile < extra); }
};

/// Places in the window of one box: dimensions channel (the term's first digit), sample (the
/// column's first), three axes. Or in strips: the columns of a micro-tile side by side, channel
/// after channel, as the inner loop reads them.
struct WindowLayout {
  int64_t size[kAxes];
  int64_t axis[kAxes];  ///< elements per grain
  int64_t sample = 0, channel = 0;
  int64_t strip = 0;  ///< from micro-tile to micro-tile, where there are strips
  int64_t elements = 0;

  WindowLayout(const WindowGeometry& g, const Digits& box, int64_t channels, int64_t element) {
    int64_t pitch = g.channels_last ? channels : 1;
    for (int i = kAxes - 1; i >= 0; --i) {
      size[i] = (box.d[i + 1] - 1) * g.axis[i].by_column + g.axis[i].reach + 1;
      axis[i] = pitch;
      pitch *= size[i];
    }
    sample = pitch;
    pitch *= box.d[0];
    if (g.strips) {
      channel = kMaxRows;
      strip = channels * channel;
      elements = WindowTiles(box.product()).count * strip;
      return;
    }
    if (g.channels_last) {
      channel = 1;
      elements = pitch;
    } else {
      // An odd number of cache lines: the channels of one column spread over the cache's sets.
      const int64_t line = 64 / element;
      channel = (ceil_div(pitch, line) | 1) * line;
      elements = channel * channels;
    }
  }
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
