// SPDX-License-Identifier: MIT
// Tiled contractions, host's half: what they cover, which tile, how runs are shared out, launches.
#pragma once

#include "combine.h"
#include "permute.h"
#include "tile.h"
#include "widen.h"

namespace fpdet::cuda {

/// Partials in memory cost about as much as this many bytes at most.
inline constexpr int64_t kPartialBytes = int64_t{512} << 20;

/// Whether the geometry is one that tiles take: the left operand is never outside, numbers and
/// coordinates fit in 31 bits.
inline bool tiles_cover(const Contraction& c) {
  constexpr int64_t kMost = (int64_t{1} << 31) - 1, kFar = int64_t{1} << 29;
  bool covers = c.terms.product() > 0 && c.terms.product() <= kMost && c.rows.product() <= kMost &&
                c.cols.product() <= kMost && c.groups <= kMost;
  using Smallest = TileShapes<double>::Small;
  const double tiles = static_cast<double>(c.groups) *
                       static_cast<double>(c.rows.product() / Smallest::kRows + 1) *
                       static_cast<double>(c.cols.product() / Smallest::kCols + 1);
  covers = covers && tiles < static_cast<double>(kMost / 2);
  for (int a = 0; a < kAxes; ++a) {
    covers = covers && c.left.origin.x[a] == 0 && c.left.outer.step[a] == 0 &&
             c.left.term.step[a] == 0 && c.left.extent[a] > 0;
    const auto reach = [](int64_t step, int64_t count) {
      return (step < 0 ? -step : step) * (count > 0 ? count - 1 : 0);
    };
    const int64_t start = c.right.origin.x[a] < 0 ? -c.right.origin.x[a] : c.right.origin.x[a];
    covers = covers && start + c.right.extent[a] + reach(c.right.outer.step[a], c.cols.d[a + 1]) +
                               reach(c.right.term.step[a], c.terms.d[a + 1]) <
                           kFar;
  }
  return covers;
}

/// Neighbours in memory along the fastest digit that moves: how many.
inline int64_t neighbours(const Walk& walk, const Digits& counts) {
  for (int i = kDigits - 1; i >= 0; --i) {
    if (counts.d[i] > 1) {
      return walk.offset.w[i] == 1 || walk.offset.w[i] == -1 ? counts.d[i] : 1;
    }
  }
  return 1;
}

/// How the runs of a call become items.
struct RunGroups {
  int64_t each = 1, groups = 1;
};

/// Groups of runs, as many as it takes to give `wanted` items, and as memory allows. Those of a
/// pairwise order are of a power of two, at least `least`; those combined first to last of one.
inline RunGroups group_runs(int64_t runs, bool first_to_last, int64_t tiles, int64_t wanted,
                            int64_t bytes_each, int64_t least) {
  const RunGroups whole{runs, 1};
  if (tiles >= wanted || runs <= least) return whole;
  if (first_to_last) {
    return runs * bytes_each <= kPartialBytes ? RunGroups{1, runs} : whole;
  }
  int64_t each = least;
  const auto groups = [&] { return (runs - 1) / each + 1; };
  while (groups() > 1 && (groups() * bytes_each > kPartialBytes || tiles * groups() > 4 * wanted)) {
    each *= 2;
  }
  return groups() > 1 ? RunGroups{each, groups()} : whole;
}

/// A task but for what depends on the shape of tiles.
inline TileTask tile_task(const ContractionCall& call) {
  const Contraction& c = call.problem;
  TileTask task{};
  task.problem = c;
  task.row_radix = TermRadix(c.rows);
  task.col_radix = TermRadix(c.cols);
  task.term_radix = TermRadix(c.terms);
  task.rows = c.rows.product();
  task.cols = c.cols.product();
  task.terms = c.terms.product();
  task.order = call.order;
  // One lane a term: the same tree.
  if (call.order.kind == OrderKind::Strided && call.order.n >= task.terms) {
    task.order = Order{OrderKind::Blocked, 1, 0, Vary::Never};
  }
  task.runs = Schedule(task.order, task.terms).runs();
  task.rounding = call.arithmetic.rounding;
  task.fused = call.arithmetic.fused;
  task.left = call.left;
  task.right = call.right;
  task.bias = call.bias;
  task.bias_stride = call.bias_stride;
  task.out = call.out;
  task.left_by_terms = neighbours(c.left.term, c.terms) > neighbours(c.left.outer, c.rows);
  task.right_by_terms = neighbours(c.right.term, c.terms) > neighbours(c.right.outer, c.cols);
  task.first_to_last =
      call.order.kind == OrderKind::Split || call.order.kind == OrderKind::SplitShuffled;
  return task;
}

inline bool runs_of_one_term(const TileTask& task) {
  return task.order.kind == OrderKind::Blocked && task.order.n == 1;
}

template <class Shape>
int64_t tiles_of(const TileTask& task) {
  return task.problem.groups * ((task.rows - 1) / Shape::kRows + 1) *
         ((task.cols - 1) / Shape::kCols + 1);
}

/// One launch. Where several groups of runs make an output, or `always`, the results are partials,
/// of which the number is returned; 0: they went to the output.
template <class Kernel, class Shape, class A, class Machine>
int64_t launch_tiles(Machine& machine, TileTask& task, bool always) {
  const int64_t tiles = tiles_of<Shape>(task);
  const int64_t resident = machine.multiprocessors() * Shape::kResident;
  const RunGroups groups =
      group_runs(task.runs, task.first_to_last, tiles, resident,
                 task.outputs() * static_cast<int64_t>(sizeof(A)), 1 << Shape::kLevels);
  task.row_tiles = Divisor((task.rows - 1) / Shape::kRows + 1);
  task.col_tiles = Divisor((task.cols - 1) / Shape::kCols + 1);
  task.tiles = Divisor(tiles);
  task.items = tiles * groups.groups;
  task.runs_each = groups.each;
  const int64_t blocks = task.items < resident ? task.items : resident;
  task.depth = 0;
  if (groups.each > 1) {
    task.depth = 1;
    for (int64_t n = groups.each; !task.first_to_last && n > 1; n = (n + 1) / 2) ++task.depth;
    task.stack =
        machine.template allocate<A>(blocks * task.depth * Shape::kThreads * Kernel::kEach);
  }
  const bool partials = always || groups.groups > 1;
  if (partials) task.partials = machine.template allocate<A>(groups.groups * task.outputs());
  machine.template launch<Kernel>(blocks, task);
  return partials ? groups.groups : 0;
}

/// The kernel for the task's rounding, fused and shape, of elements that are accumulators.
template <class A, class Machine>
int64_t launch_tiles(Machine& machine, TileTask& task, bool always) {
  using Shapes = TileShapes<A>;
  return with_rounding(task.rounding, [&]<Rounding R>() -> int64_t {
    if constexpr (is_hardware(R)) {
      if (runs_of_one_term(task)) {
        using Shape = typename Shapes::Pairs;
        return launch_tiles<TileKernel<Shape, A, A, R, true>, Shape, A>(machine, task, always);
      }
      if constexpr (__is_same(A, float)) {
        using Shape = typename Shapes::Large;
        const bool many =
            task.rows > Shapes::Small::kRows && tiles_of<Shape>(task) >= machine.multiprocessors();
        if (many && task.fused) {
          return launch_tiles<TileKernel<Shape, A, A, R, true>, Shape, A>(machine, task, always);
        }
      }
      using Shape = typename Shapes::Small;
      if (task.fused) {
        return launch_tiles<TileKernel<Shape, A, A, R, true>, Shape, A>(machine, task, always);
      }
      return launch_tiles<TileKernel<Shape, A, A, R, false>, Shape, A>(machine, task, always);
    } else {
      return 0;
    }
  });
}

/// float64 sums of float32 operands, for order exact: always partials.
template <class Machine>
int64_t launch_float64_sums(Machine& machine, TileTask& task) {
  constexpr Rounding R = Rounding::NearestEven;
  using Large = TileShapes<double>::Large;
  using Small = TileShapes<double>::Small;
  if (task.rows > Small::kRows && tiles_of<Large>(task) >= machine.multiprocessors()) {
    return launch_tiles<TileKernel<Large, float, double, R, true>, Large, double>(machine, task,
                                                                                  true);
  }
  return launch_tiles<TileKernel<Small, float, double, R, true>, Small, double>(machine, task,
                                                                                true);
}

inline CombineTask combine_task(const ContractionCall& call, const TileTask& task, int64_t count) {
  CombineTask combine{};
  combine.problem = call.problem;
  combine.scalar = call.scalar;
  combine.rounding = call.arithmetic.rounding;
  combine.first_to_last = task.first_to_last;
  combine.bias = call.bias;
  combine.bias_stride = call.bias_stride;
  combine.out = call.out;
  combine.outputs = task.outputs();
  combine.partials_count = count;
  combine.partials = task.partials;
  return combine;
}

/// Operands of 16 bits become float32 ones.
template <class Machine>
void widen_operands(Machine& machine, const ContractionCall& call, TileTask& task) {
  if (call.scalar != Scalar::BFloat16 && call.scalar != Scalar::Float16) return;
  const Contraction& c = call.problem;
  if (c.product) {
    task.left =
        widened(machine, call.scalar, call.left, Stretch::of(c.left, c.groups, c.rows, c.terms));
  }
  task.right =
      widened(machine, call.scalar, call.right, Stretch::of(c.right, c.groups, c.cols, c.terms));
}

template <class A, class Machine>
void tiled_contraction(const ContractionCall& call, Machine& machine) {
  TileTask task = tile_task(call);
  if (call.order.permuted()) {
    task.permutation = Permuter(machine, call.order, call.draw, call.problem, 1).make(0, 1);
  }
  widen_operands(machine, call, task);
  const bool narrow = call.scalar == Scalar::BFloat16 || call.scalar == Scalar::Float16;
  const int64_t partials = launch_tiles<A>(machine, task, narrow);
  if (partials == 0) return;
  CombineTask rest = combine_task(call, task, partials);
  combine<A>(rest, machine);
  using Kernel = Finish<A>;
  machine.template launch<Kernel>(blocks_for<Kernel>(machine, rest.outputs), rest);
}

/// Element types and arithmetics that have tiled kernels: hardware roundings, in tree orders that
/// are one for all outputs.
inline bool tiles_cover(const ContractionCall& call) {
  const bool format = call.scalar == Scalar::Float64 ? is_float64(call.arithmetic.format)
                                                     : is_float32(call.arithmetic.format);
  return format && is_hardware(call.arithmetic.rounding) && call.order.is_tree() &&
         !(call.order.permuted() && call.order.vary == Vary::Element);
}

}  // namespace fpdet::cuda
