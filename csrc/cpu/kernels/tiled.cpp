// SPDX-License-Identifier: MIT
#include "left.h"
#include "method.h"
#include "tiled_runner.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

template <class T, class S>
using TiledRunner = PanelRunner<T, S, TiledMultiply<T>>;

}  // namespace

const Method kTiled{
    "tiled",
    tree_on_hardware,
    [](const Task&) { return true; },
    [](Task& task) { plan_for_accumulator(task, []<class T>(Task& t) { plan_tiled<T>(t); }); },
    pack_left,
    run_items<TiledRunner>,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
