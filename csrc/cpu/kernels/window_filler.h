// SPDX-License-Identifier: MIT
// Filling the window of a box (window_box.h): what a chunk of terms meets of the right operand.
#pragma once

#include "vec.h"
#include "window_box.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int64_t kWindowAhead = 4 << 10;  // bytes asked for before they are copied
inline constexpr int64_t kStripsAhead = 4;        // micro-tiles of a strip, in the same way

template <class T, class S>
struct WindowFiller {
  const Task& task;
  const WindowGeometry& geometry;
  const WindowLayout& layout;
  const Box& box;
  const int64_t* sources;  ///< of the columns in the operand, where the layout has strips
  T* window;

  /// Channels of a group; `begins`: the box's first ones.
  void fill(int64_t group, int64_t channel, int64_t channels, bool begins) const {
    if (geometry.strips) {
      copy_strips(group, channel, channels);
    } else {
      copy_window(group, channel, channels, begins);
    }
  }

 private:
  /// Grains [from, to) of an axis lie inside the operand; `at` is the coordinate of grain 0.
  struct Inside {
    int64_t at, from, to;
  };
  Inside inside(int a) const {
    const WindowAxis& axis = geometry.axis[a];
    const Operand& right = task.problem.right;
    const int64_t at =
        right.origin.x[a] + axis.lowest_term + box.first.d[a + 1] * axis.by_column * axis.grain;
    const int64_t from = at < 0 ? ceil_div(-at, axis.grain) : 0;
    const int64_t to = right.extent[a] > at ? ceil_div(right.extent[a] - at, axis.grain) : 0;
    return {at, at_most(from, layout.size[a]), at_least(at_most(to, layout.size[a]), 0)};
  }

  void copy_window(int64_t group, int64_t channel, int64_t channels, bool begins) const {
    const Operand& right = task.problem.right;
    const S* data = static_cast<const S*>(task.right) + group * right.group_offset + geometry.base +
                    channel * right.term.offset.w[0] + box.first.d[0] * right.outer.offset.w[0];
    const Inside in[kAxes] = {inside(0), inside(1), inside(2)};
    const WindowAxis(&axis)[kAxes] = geometry.axis;
    int64_t hop[kAxes], rows = 1;
    for (int a = 0; a < kAxes; ++a) {
      data += in[a].at * axis[a].pitch;
      hop[a] = axis[a].grain * axis[a].pitch;
      if (a < 2) rows *= in[a].to - in[a].from == layout.size[a];
    }
    const int64_t samples = box.size.d[0];
    if (geometry.channels_last) {
      for (int64_t n = 0; n < samples; ++n) {
        const S* from = data + n * right.outer.offset.w[0];
        T* to = window + n * layout.sample;
        for (int64_t i = 0; i < layout.size[0]; ++i) {
          for (int64_t j = 0; j < layout.size[1]; ++j) {
            for (int64_t k = 0; k < layout.size[2]; ++k) {
              const bool here = i >= in[0].from && i < in[0].to && j >= in[1].from &&
                                j < in[1].to && k >= in[2].from && k < in[2].to;
              T* place = to + i * layout.axis[0] + j * layout.axis[1] + k * layout.axis[2];
              const S* source = from + i * hop[0] + j * hop[1] + k * hop[2];
              here ? copy(source, channels, place) : clear(place, channels);
            }
          }
        }
      }
      return;
    }
    // Rows of the window that follow each other in the operand too are one.
    const bool whole = rows == 1 && in[2].from == 0 && in[2].to == layout.size[2];
    const bool joined = whole && hop[2] == 1 && (layout.size[1] == 1 || hop[1] == layout.size[2]) &&
                        (layout.size[0] == 1 || hop[0] == layout.size[1] * layout.size[2]);
    // Another channel's elements come from another page: asked for ahead, row by row.
    const auto ask_for = [&](const S* from, int64_t n) {
      constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(S));
      for (int64_t i = 0; i < n; i += kLine) __builtin_prefetch(from + i, 0, 3);
    };
    const int64_t next = right.term.offset.w[0] *
                         ceil_div(kWindowAhead, layout.channel * static_cast<int64_t>(sizeof(T)));
    // What lies outside the operand is the same for every chunk of the box. What is written beyond
    // a row shorter than a vector is zeros: outside, or written later.
    if (begins && !whole) std::memset(window, 0, layout.elements * sizeof(T));
    const auto copy_channels = [&](auto&& copy_sample) __attribute__((always_inline)) {
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t n = 0; n < samples; ++n) {
          copy_sample(data + c * right.term.offset.w[0] + n * right.outer.offset.w[0],
                      window + c * layout.channel + n * layout.sample);
        }
      }
    };
    if (joined) {
      copy_channels([&](const S* from, T* to) {
        ask_for(from + next, layout.sample);
        copy_elements<T>(from, 1, layout.sample, to);
      });
      return;
    }
    const int64_t count = in[2].to - in[2].from;
    const auto copy_rows = [&](int64_t step) __attribute__((always_inline)) {
      copy_channels([&](const S* from, T* to) __attribute__((always_inline)) {
        for (int64_t i = in[0].from; i < in[0].to; ++i) {
          for (int64_t j = in[1].from; j < in[1].to; ++j) {
            const S* row = from + i * hop[0] + j * hop[1] + in[2].from * step;
            if (step == 1) ask_for(row + next, count);
            copy_elements<T>(row, step, count,
                             to + i * layout.axis[0] + j * layout.axis[1] + in[2].from);
          }
        }
      });
    };
    if (hop[2] == 1) {
      copy_rows(1);
    } else if (hop[2] == 2) {
      copy_rows(2);
    } else {
      copy_rows(hop[2]);
    }
  }

  /// Tile by tile: what a vector writes beyond a tile's columns is written later.
  void copy_strips(int64_t group, int64_t channel, int64_t channels) const {
    const Operand& right = task.problem.right;
    const int64_t next = right.term.offset.w[0];
    const S* data = static_cast<const S*>(task.right) + group * right.group_offset +
                    right.origin.offset + channel * next;
    const WindowTiles tiles(box.size.product());
    const int64_t* source = sources;
    for (int64_t tile = 0; tile < tiles.count; ++tile) {
      const int64_t n = tiles.columns(tile);
      T* to = window + tile * layout.strip;
      const int64_t hop = n > 1 ? source[1] - source[0] : 1;
      bool regular = true;
      for (int64_t j = 2; j < n; ++j) regular &= source[j] - source[j - 1] == hop;
      const auto copy_regular = [&](int64_t step) __attribute__((always_inline)) {
        const S* from = data + source[0];
        for (int64_t c = 0; c < channels; ++c, from += next, to += kMaxRows) {
          __builtin_prefetch(from + kStripsAhead * kMaxRows * step, 0, 3);
          for (int64_t j = 0; j < kMaxRows; j += kLanes<T>) {
            const auto lanes = at_least(at_most(n - j, kLanes<T>), 0);
            store<T>(to + j, gather<T>(from + j * step, step, (uint32_t{1} << lanes) - 1));
          }
        }
      };
      if (regular && hop == 1) {
        copy_regular(1);
      } else if (regular && hop == 2) {
        copy_regular(2);
      } else {
        // The tile some way ahead lies on one or two cache lines of each channel, as a rule.
        const S* from = data;
        const int64_t rest = sources + box.size.product() - source - 1;
        const int64_t ahead = source[at_most(kStripsAhead * kMaxRows, rest)];
        const int64_t beyond = source[at_most(kStripsAhead * kMaxRows + n / 2, rest)];
        for (int64_t c = 0; c < channels; ++c, from += next, to += kMaxRows) {
          __builtin_prefetch(from + ahead, 0, 3);
          __builtin_prefetch(from + beyond, 0, 3);
          for (int64_t j = 0; j < n; ++j) to[j] = to_accumulator<T>(from[source[j]]);
        }
      }
      source += n;
    }
  }
  static void clear(T* to, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[i] = T{0};
  }
  static void copy(const S* from, int64_t n, T* to) {
    if constexpr (__is_same(T, S)) {
      std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
    } else {
      for (int64_t i = 0; i < n; ++i) to[i] = to_accumulator<T>(from[i]);
    }
  }
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
