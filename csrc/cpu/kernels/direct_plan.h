// SPDX-License-Identifier: MIT
// Boxes and memory of the direct method (direct_runner.h).
#pragma once

#include "direct.h"
#include "planes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int64_t kPlaneBytes = int64_t{24} << 10;       // wanted: stays in the first cache
inline constexpr int64_t kPlanesBytes = int64_t{40} << 10;      // of several channels, one by one
inline constexpr int64_t kMostPlaneBytes = int64_t{192} << 10;  // before boxes become thin
inline constexpr int64_t kThinBox = 8;                          // output rows

/// Vectors of partials of one part.
inline constexpr int64_t kDirectStack = Schedule::kMaxDepth * kDirectSums;

inline constexpr int64_t kMostTerms = int64_t{1} << 14;
inline constexpr int64_t kMostWeights = int64_t{1} << 16;  // rows x terms

/// Most columns of a part along each axis.
inline Box all_columns(const Parts& parts) {
  Box all;
  for (int i = 0; i < kAxes; ++i) {
    for (int64_t p = 0; p < parts.count; ++p) {
      all.x[i] = at_least(all.x[i], parts[p].cols.d[i + 1]);
    }
  }
  return all;
}

/// Terms of all parts, at least one each.
inline int64_t all_terms(const Parts& parts) {
  int64_t sum = 0;
  for (int64_t p = 0; p < parts.count; ++p) sum += at_least(parts[p].terms.product(), 1);
  return sum;
}

/// Outputs of a box; the planned one, which the last boxes of an axis fall short of.
template <class T>
Box direct_box(const Task& task) {
  Box box = all_columns(Parts(task));
  const int64_t wanted = Parts(task)[0].terms.d[0] > 1 ? kPlanesBytes : kPlaneBytes;
  const auto bytes = [&] {
    return PlaneLayout<T>(Parts(task), box).size() * static_cast<int64_t>(sizeof(T));
  };
  if (task.tiles.columns > 0) {
    box.x[0] = 1;
    box.x[1] = at_most(box.x[1], at_least(task.tiles.rows, 1));
    box.x[2] = at_most(box.x[2], task.tiles.columns);
  }
  for (int axis = 0; axis < kAxes; ++axis) {
    const int64_t all = box.x[axis];
    for (int64_t parts = 2; box.x[axis] > 1 && bytes() > wanted; parts += 1 + parts / 4) {
      const int64_t part = ceil_div(all, parts);
      const int64_t thin = axis == 2 ? 16 * kLanes<T> : axis == 1 ? kThinBox : 1;
      if (part < thin && bytes() <= kMostPlaneBytes) break;
      box.x[axis] = part;
    }
  }
  return box;
}

/// How many boxes there are along each axis.
struct DirectBoxes {
  int64_t count[kAxes];

  DirectBoxes(const Parts& parts, const Box& box) {
    const Box all = all_columns(parts);
    for (int i = 0; i < kAxes; ++i) count[i] = ceil_div(all.x[i], box.x[i]);
  }
  int64_t product() const { return count[0] * count[1] * count[2]; }
};

/// Samples whose boxes are summed at once, with one left operand: of boxes that hold all columns of
/// a sample, and are small. And reading at once what has just been written in other pieces would
/// wait for the writes.
template <class T>
int64_t direct_samples(const Task& task, const Box& box) {
  const Parts parts(task);
  if (DirectBoxes(parts, box).product() > 1) return 1;
  const int64_t bytes = PlaneLayout<T>(parts, box).size() * static_cast<int64_t>(sizeof(T));
  const int64_t samples = task.problem.cols.d[0];
  const int64_t shares = samples * task.problem.groups / (4 * task.workers);
  const int64_t fit = at_least(at_most(kPlaneBytes / bytes, shares), 1);
  return ceil_div(samples, ceil_div(samples, fit));
}

template <class T>
struct DirectSizes {
  int64_t planes, left, bias, stack, terms, left_terms, steps, spots;

  DirectSizes(const Task& task, const Box& box, int64_t samples) {
    constexpr int64_t kSize = sizeof(T);
    const int64_t all = all_terms(Parts(task));
    planes = aligned(samples * PlaneLayout<T>(Parts(task), box).size() * kSize);
    left = aligned(task.rows * all * kSize);
    bias = aligned(task.rows * kSize);
    stack = aligned(2 * kDirectStack * kVectorBytes);  // of two parts at once
    terms = aligned(all * static_cast<int64_t>(sizeof(int32_t)));
    left_terms = aligned(all * static_cast<int64_t>(sizeof(int64_t)));
    steps = aligned(all * static_cast<int64_t>(sizeof(Step)));
    const int64_t vectors = samples * box.x[0] * box.x[1] * ceil_div(box.x[2], kLanes<T>);
    spots = aligned(vectors * static_cast<int64_t>(sizeof(Spot)));
  }
  int64_t total() const {
    return planes + left + bias + stack + terms + left_terms + steps + spots;
  }
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
