// SPDX-License-Identifier: MIT
#include "exact_direct_runner.h"
#include "method.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

constexpr int64_t kMostTermsExact = 4096;

DirectSizes<double> sizes(const Task& task) { return {task, direct_box<double>(task), 1}; }

bool covers(const Task& task) {
  return float64_bounds_exact(task) && task.part_count == 1 && task.problem.product &&
         task.rows == task.problem.rows.d[0] && left_is_whole(task.problem.left) &&
         has_planes(task.problem) && task.terms > 0 && task.terms <= kMostTermsExact &&
         task.rows * task.terms <= kMostWeights && sizes(task).total() <= kScratchLimit;
}

bool suits(const Task& task) { return task.rows <= 2 && task.problem.cols.d[3] >= 4; }

void plan(Task& task) {
  sum_in_float64(task);
  task.row_tiles = ceil_div(task.rows, kDirectRows);
  const Box box = direct_box<double>(task);
  task.items =
      task.problem.groups * task.problem.cols.d[0] * DirectBoxes(Parts(task), box).product();
  task.scratch_bytes =
      sizes(task).total() + aligned(task.rows * static_cast<int64_t>(sizeof(LeftBounds)));
}

void run(const Task& task, void* scratch, cpu::Pieces& items) {
  const EnvironmentGuard guard(task.arithmetic.rounding);
  auto* rows = reinterpret_cast<LeftBounds*>(static_cast<char*>(scratch) + sizes(task).total());
  with_narrow_scalar(task.scalar, [&]<class S>(S) {
    ExactDirectRunner<S> runner(task, scratch, rows);
    run_each(runner, items);
  });
}

}  // namespace

const Method kExactDirect{"exact_direct", covers, suits, plan, nullptr, run};

}  // namespace fpdet::inline FPDET_TARGET::kernels
