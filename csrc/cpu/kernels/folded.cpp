// SPDX-License-Identifier: MIT
#include "folded_micro.h"
#include "left.h"
#include "method.h"
#include "tiled_runner.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

template <class T, class S>
using FoldedRunner = PanelRunner<T, S, FoldedMultiply<T>>;

constexpr int64_t kShortRun = 6;  // mean terms of a run for which this beats the tiled kernel
constexpr int64_t kFewRows = 4;   // fewer do not pay for the terms held in registers

}  // namespace

const Method kFolded{
    "folded",
    tree_on_hardware,
    [](const Task& task) {
      const int64_t runs = schedule_of(task).runs();
      return task.rows >= kFewRows && runs > 1 && task.terms <= kShortRun * runs;
    },
    [](Task& task) {
      // Here the knob of rows sizes the micro-tile: blocks of one are too coarse to be tested with.
      const int64_t rows =
          task.tiles.rows > 0 ? at_most(task.tiles.rows, kMostTileRows) : kMostTileRows;
      plan_for_accumulator(task, [rows]<class T>(Task& t) { plan_tiled<T>(t, rows); });
    },
    pack_left,
    run_items<FoldedRunner>,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
