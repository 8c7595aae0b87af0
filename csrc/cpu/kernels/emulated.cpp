// SPDX-License-Identifier: MIT
#include "../../core/environment.h"
#include "emulated_runner.h"
#include "left.h"
#include "method.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

/// Tree orders over accumulators inside float32 whose operations are no instructions.
bool covers(const Task& task) {
  const Arithmetic& a = task.arithmetic;
  return task.order.is_tree() && task.order.vary != Vary::Element &&
         task.scalar != Scalar::Float64 && embeds(a.format, kFloat32) &&
         !(is_hardware(a.rounding) && a.format == kFloat32) &&
         !(a.rounding == Rounding::Stochastic && a.stochastic.keyed_by_operands);
}

constexpr int64_t kLeastBlockRows = 16;

void plan_emulated(Task& task) {
  constexpr int64_t kStack = int64_t{1} << 18;  // wanted bytes
  task.row_tiles = task.rows;                   // packed_left is [row][term]
  task.panels = ceil_div(task.cols, kEmulatedLanes);
  // Few rows get more columns: lists are made for each tile.
  const int64_t few = at_most(at_least(64 / task.rows, kLeastPanels), kMostPanels);
  const int64_t wanted =
      task.tiles.columns > 0 ? ceil_div(task.tiles.columns, kEmulatedLanes) : few;
  task.tile_panels = at_most(task.panels, at_most(wanted, kMostPanels));
  const int64_t row_bytes = task.tile_panels * kEmulatedLanes * task.depth * 8;
  task.block_rows = at_most(task.rows, at_least(kStack / row_bytes, 1));
  if (task.tiles.rows > 0) task.block_rows = at_most(task.block_rows, task.tiles.rows);
  task.col_tiles = ceil_div(task.panels, task.tile_panels);
  // Enough items for the threads to end together; blocks of few rows would pack too often.
  const int64_t shares = ceil_div(8 * task.workers, task.problem.groups * task.col_tiles);
  task.block_rows =
      at_most(task.block_rows, at_least(ceil_div(task.rows, shares), kLeastBlockRows));
  task.row_blocks = ceil_div(task.rows, task.block_rows);
  task.items = task.problem.groups * task.row_blocks * task.col_tiles;
  task.left_items = task.terms > 0 ? task.problem.groups * task.rows : 0;
  task.left_bytes =
      task.problem.groups * task.rows * task.terms * static_cast<int64_t>(sizeof(double));
  task.scratch_bytes = EmulatedSizes(task).total();
}

void pack(const Task& task, int64_t begin, int64_t end) {
  const EnvironmentGuard guard(Rounding::NearestEven);
  with_narrow_scalar(task.scalar,
                     [&]<class S>(S) { pack_left_typed<double, S>(task, begin, end); });
}

[[gnu::noinline]] void run_with(const EmulatedOperations& operations, const Task& task,
                                void* scratch, cpu::Pieces& items) {
  with_narrow_scalar(task.scalar, [&]<class S>(S) {
    EmulatedRunner<S> runner(task, operations, scratch);
    run_each(runner, items);
  });
}

void run(const Task& task, void* scratch, cpu::Pieces& items) {
  Arithmetic arithmetic = task.arithmetic;
  arithmetic.fused |= !task.problem.product;  // a sum's terms are rounded by its additions alone
  with_emulated_ops(arithmetic, [&]<class Ops>(const Ops& ops) {
    const EnvironmentGuard guard(Ops::kAmbient);
    run_with(EmulatedOperations(ops), task, scratch, items);
  });
}

bool always(const Task&) { return true; }

}  // namespace

const Method kEmulated{
    "emulated", covers, always, plan_emulated, pack, run,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
