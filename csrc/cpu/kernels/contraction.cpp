// SPDX-License-Identifier: MIT
// The fast contraction of one instruction set: plan, packing of the left operand, work items.
// Compiled once per instruction set; takes nothing out of line from the standard library, so that
// no instruction of this file can be linked into code that runs on every processor.
#include "../../core/environment.h"
#include "direct.h"
#include "grouped.h"
#include "micro.h"
#include "pack.h"
#include "table.h"
#include "task.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

constexpr int64_t kChunk = 256;                    // terms packed at a time
constexpr int64_t kStackBytes = int64_t{1} << 19;  // wanted size of the stack of partials
constexpr int64_t kRightBytes = int64_t{1} << 18;  // wanted size of the packed right operand
constexpr int64_t kItemsPerWorker = 6;             // so that uneven threads even out
constexpr int64_t kMaxTileColumns = 4096;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t at_least(int64_t a, int64_t low) { return a < low ? low : a; }
constexpr int64_t at_most(int64_t a, int64_t high) { return a > high ? high : a; }
constexpr int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// Rows of micro-tile i: sizes differ by at most one.
struct RowTile {
  int64_t first;
  int rows;
};
RowTile row_tile(const Task& task, int64_t i) {
  const int64_t base = task.rows / task.row_tiles, extra = task.rows % task.row_tiles;
  return {i * base + at_most(i, extra), static_cast<int>(base + (i < extra ? 1 : 0))};
}

Schedule schedule_of(const Task& task) {
  return Schedule(task.order, task.terms, task.permutation);
}

bool double_accumulator(const Task& task) { return task.arithmetic.format == kFloat64; }

/// Calls f(accumulator value, element value).
template <class F>
void with_types(const Task& task, F&& f) {
  with_scalar(task.scalar, [&]<class S>(S element) {
    if (double_accumulator(task)) {
      f(double{}, element);
    } else if constexpr (!__is_same(S, double)) {
      f(float{}, element);
    }
  });
}

// Bytes of one thread's scratch, part by part; the same order in carve() below.
template <class T>
struct ScratchSizes {
  int64_t right, stack, columns, terms, steps, work, offsets;

  explicit ScratchSizes(const Task& task) {
    const int64_t cols = task.tile_panels * kPanel<T>;
    right = aligned(cols * task.chunk * static_cast<int64_t>(sizeof(T)));
    stack = aligned(cols * task.block_rows * task.depth * static_cast<int64_t>(sizeof(T)));
    columns = aligned(cols * PlaceList::kBytesPerEntry);
    terms = aligned(task.chunk * PlaceList::kBytesPerEntry);
    steps = aligned(task.chunk * static_cast<int64_t>(sizeof(Step)));
    work = aligned(Packer<T, T>::work_bytes(task.chunk));
    offsets = aligned(cols * static_cast<int64_t>(sizeof(int64_t)));
  }
  int64_t total() const { return right + stack + columns + terms + steps + work + offsets; }
};

template <class T>
struct DirectSizes {
  int64_t terms, steps, lanes, inside, offsets;

  explicit DirectSizes(const Task& task) {
    const int64_t vectors = ceil_div(task.problem.cols.d[3], kLanes<T>);
    terms = aligned(task.terms * PlaceList::kBytesPerEntry);
    steps = aligned(task.terms * static_cast<int64_t>(sizeof(Step)));
    lanes = aligned(task.terms * vectors * static_cast<int64_t>(sizeof(uint16_t)));
    inside = aligned(task.terms * static_cast<int64_t>(sizeof(uint16_t)));
    offsets = aligned(kLanes<T> * static_cast<int64_t>(sizeof(int64_t)));
  }
  int64_t total() const { return terms + steps + lanes + inside + offsets; }
};

template <class T>
struct GroupedSizes {
  int64_t left, right, stack, lanes, terms, steps, work;

  explicit GroupedSizes(const Task& task) {
    left = aligned(task.chunk * kVectorBytes);
    right = kGroupedColumns * left;
    stack = task.depth * kGroupedColumns * kVectorBytes;
    lanes = aligned(kLanes<T> * PlaceList::kBytesPerEntry);
    terms = aligned(task.chunk * PlaceList::kBytesPerEntry);
    steps = aligned(task.chunk * static_cast<int64_t>(sizeof(Step)));
    work = aligned(Packer<T, T>::work_bytes(task.chunk));
  }
  int64_t total() const { return left + right + stack + lanes + 2 * terms + steps + work; }
};

bool suits_grouped(const Task& task) {
  return task.problem.product && task.rows == 1 && task.terms > 0 && task.problem.groups > 2 &&
         task.cols <= kGroupedMostColumns;
}

bool suits_direct(const Task& task) {
  const int64_t last = task.problem.cols.d[3];
  return task.problem.product && task.rows <= kDirectRows && task.terms > 0 &&
         task.terms <= kDirectTerms && last >= 4 && last <= kDirectColumns;
}

template <class T>
void plan_tiles(Task& task) {
  constexpr int64_t kSize = sizeof(T);
  task.chunk = at_most(task.tiles.terms > 0 ? at_most(task.tiles.terms, 4096) : kChunk,
                       at_least(task.terms, 1));
  if (suits_direct(task)) {
    task.method = Method::Direct;
    task.row_tiles = 1;
    task.chunk = task.terms;
    task.items = task.problem.groups * task.problem.cols.d[0];
    task.left_items = task.problem.groups;
    task.left_bytes = task.problem.groups * task.rows * task.terms * kSize;
    task.scratch_bytes = DirectSizes<T>(task).total();
    return;
  }
  if (suits_grouped(task)) {
    task.method = Method::Grouped;
    task.chunk = at_most(task.chunk, kChunk);
    task.col_tiles = ceil_div(task.cols, kGroupedColumns);
    task.items = ceil_div(task.problem.groups, kLanes<T>) * task.col_tiles;
    task.scratch_bytes = GroupedSizes<T>(task).total();
    return;
  }
  task.row_tiles = ceil_div(task.rows, kMaxRows);
  const int64_t tile_rows = ceil_div(task.rows, task.row_tiles);
  task.panels = ceil_div(task.cols, kPanel<T>);

  // Rows of a block: all of them where their partials of one panel fit.
  const int64_t tile_stack = tile_rows * task.depth * kPanel<T> * kSize;
  task.block_tiles = at_most(task.row_tiles, at_least(kStackBytes / tile_stack, 1));
  if (task.tiles.rows > 0) {
    task.block_tiles = at_most(task.block_tiles, ceil_div(task.tiles.rows, tile_rows));
  }
  // Columns of a tile: what fits, less where workers would stay idle.
  const int64_t panel_stack = task.block_tiles * tile_stack;
  const int64_t panel_right = task.chunk * kPanel<T> * kSize;
  int64_t fit = at_least(at_most(kStackBytes / panel_stack, kRightBytes / panel_right), 1);
  fit = at_most(fit, kMaxTileColumns / kPanel<T>);
  const int64_t items = kItemsPerWorker * task.workers;
  const int64_t blocks = ceil_div(task.row_tiles, task.block_tiles);
  fit = at_most(fit, at_least(ceil_div(task.panels * task.problem.groups * blocks, items), 1));
  if (task.tiles.columns > 0) {
    fit = at_most(ceil_div(task.tiles.columns, kPanel<T>), kMaxTileColumns / kPanel<T>);
    fit = at_most(fit, at_least(2 * kStackBytes / panel_stack, 1));
    fit = at_most(fit, at_least(2 * kRightBytes / panel_right, 1));
  }
  task.col_tiles = ceil_div(task.panels, fit);
  task.tile_panels = ceil_div(task.panels, task.col_tiles);
  // Rows again, where columns alone do not occupy the workers.
  const int64_t column_items = task.col_tiles * task.problem.groups;
  if (column_items * ceil_div(task.row_tiles, task.block_tiles) < task.workers) {
    const int64_t wanted = ceil_div(task.workers, column_items);
    task.block_tiles = at_most(task.block_tiles, at_least(ceil_div(task.row_tiles, wanted), 1));
  }
  task.row_blocks = ceil_div(task.row_tiles, task.block_tiles);
  task.block_tiles = ceil_div(task.row_tiles, task.row_blocks);
  task.row_blocks = ceil_div(task.row_tiles, task.block_tiles);
  task.block_rows = task.block_tiles * tile_rows;

  task.items = task.problem.groups * task.row_blocks * task.col_tiles;
  task.left_items = task.terms > 0 ? task.problem.groups * task.row_tiles : 0;
  task.left_bytes = task.problem.groups * task.rows * task.terms * kSize;
  task.scratch_bytes = ScratchSizes<T>(task).total();
}

void plan(void* opaque) {
  Task& task = *static_cast<Task*>(opaque);
  task.rows = task.problem.rows.product();
  task.cols = task.problem.cols.product();
  task.terms = task.problem.terms.product();
  task.runs = schedule_of(task).runs();
  task.items = task.left_items = 0;
  if (task.problem.groups == 0 || task.rows == 0 || task.cols == 0) return;
  task.depth = 1;
  if (task.runs > 1) {
    const bool first_to_last =
        task.order.kind == OrderKind::Split || task.order.kind == OrderKind::SplitShuffled;
    task.depth = 2;
    for (int64_t rest = (task.runs - 1) >> 1; rest != 0 && !first_to_last; rest >>= 1) ++task.depth;
  }
  if (double_accumulator(task)) {
    plan_tiles<double>(task);
  } else {
    plan_tiles<float>(task);
  }
}

/// Walks the schedule chunk by chunk: the terms of a chunk and the steps that sum them.
class Chunks {
 public:
  explicit Chunks(const Task& task)
      : task_(task), schedule_(schedule_of(task)), runs_(schedule_.runs()) {
    if (runs_ > 0) run_ = schedule_.run(0);
  }

  bool done() const { return j_ >= runs_; }

  int64_t next(PlaceWriter& writer, Step* steps) {
    int64_t left = task_.chunk, count = 0;
    while (left > 0 && j_ < runs_) {
      const int64_t n = at_most(run_.count - at_, left);
      append(writer, n);
      Step& step = steps[count++];
      step.count = static_cast<int32_t>(n);
      step.level = level_;
      step.begins = at_ == 0;
      step.folds = 0;
      at_ += n;
      left -= n;
      if (at_ == run_.count) {
        step.folds = schedule_.folds(j_);
        level_ += 1 - step.folds;
        at_ = 0;
        if (++j_ < runs_) run_ = schedule_.run(j_);
      }
    }
    writer.finish();
    return count;
  }

 private:
  void append(PlaceWriter& writer, int64_t n) const {
    const int64_t first = run_.first + at_ * run_.stride;
    if (run_.stride == 1 && task_.order.kind != OrderKind::Shuffled) {
      writer.append_range(first, n);
      return;
    }
    for (int64_t i = 0; i < n; ++i) writer.append(schedule_.term(first + i * run_.stride));
  }

  const Task& task_;
  Schedule schedule_;
  int64_t runs_, j_ = 0, at_ = 0;
  int32_t level_ = 0;
  Run run_{0, 1, 0};
};

// ------------------------------------------------------------------------------------------ left

/// packed_left: for each group and micro-tile [term in visiting order][row of the tile].
template <class T, class S>
void pack_left_typed(const Task& task, int64_t begin, int64_t end) {
  const Operand& operand = task.problem.left;
  const UnsafeAxes unsafe(operand, task.problem.rows, task.problem.terms);
  constexpr int64_t kTerms = 128;
  alignas(64) char term_memory[kTerms * PlaceList::kBytesPerEntry];
  alignas(64) char row_memory[kMaxRows * PlaceList::kBytesPerEntry];
  alignas(64) char work[Packer<T, S>::work_bytes(kTerms)];
  Step steps[kTerms];
  PlaceList terms, rows;
  terms.place(term_memory, kTerms);
  rows.place(row_memory, kMaxRows);
  Task small = task;
  small.chunk = kTerms;

  for (int64_t item = begin; item < end; ++item) {
    const int64_t group = item / task.row_tiles;
    const RowTile tile = row_tile(task, item % task.row_tiles);
    T* dst = static_cast<T*>(task.packed_left) + (group * task.rows + tile.first) * task.terms;
    if (!task.problem.product) {
      for (int64_t i = 0; i < task.terms * tile.rows; ++i) dst[i] = T{1};
      continue;
    }
    PlaceWriter row_writer(operand.outer, operand.origin, task.problem.rows, unsafe, rows);
    row_writer.append_range(tile.first, tile.rows);
    row_writer.finish();
    Packer<T, S> packer(static_cast<const S*>(task.left) + group * operand.group_offset, operand,
                        unsafe, work, kTerms);
    for (Chunks chunks(small); !chunks.done();) {
      PlaceWriter writer(operand.term, Place{}, task.problem.terms, unsafe, terms);
      chunks.next(writer, steps);
      packer.lists_changed();
      for (int r = 0; r < tile.rows; r += kLanes<T>) {
        const int n = static_cast<int>(at_most(tile.rows - r, kLanes<T>));
        packer.pack(rows, r, n, n, terms, dst + r, tile.rows);
      }
      dst += terms.count * tile.rows;
    }
  }
}

void pack_left(const void* opaque, int64_t begin, int64_t end) {
  const Task& task = *static_cast<const Task*>(opaque);
  const EnvironmentGuard guard(task.arithmetic.rounding);
  with_types(task, [&]<class T, class S>(T, S) { pack_left_typed<T, S>(task, begin, end); });
}

// ----------------------------------------------------------------------------------------- output

/// Stores members of the accumulator's format as elements, under the ambient rounding.
template <class T, class S>
__attribute__((noinline)) void convert(const Task& task, const T* from, int64_t n, S* to,
                                       const int64_t* offsets) {
  if constexpr (__is_same(T, S) || (sizeof(T) == 8 && __is_same(S, float))) {
    for (int64_t i = 0; i < n; ++i) to[offsets[i]] = static_cast<S>(from[i]);
  } else {
    const Arith arith(task.arithmetic, true);
    RandomBits none;
    for (int64_t i = 0; i < n; ++i) {
      fpdet::store(arith.round_to(static_cast<double>(from[i]), kFormatOf<S>, none, 0),
                   to[offsets[i]]);
    }
  }
}

template <class T>
__attribute__((noinline)) V<T> add(V<T> a, V<T> b) {
  return a + b;
}

template <class T>
__attribute__((noinline)) void add_to_row(T* row, T b) {
  for (int v = 0; v < kPanel<T>; v += kLanes<T>)
    store<T>(row + v, load<T>(row + v) + broadcast<T>(b));
}

// ------------------------------------------------------------------------------------------ items

template <class T, class S>
class Runner {
 public:
  Runner(const Task& task, char* scratch)
      : task_(task), unsafe_(task.problem.right, task.problem.cols, task.problem.terms) {
    const ScratchSizes<T> sizes(task);
    char* at = scratch;
    const auto carve = [&](int64_t bytes) {
      char* part = at;
      at += bytes;
      return part;
    };
    right_ = reinterpret_cast<T*>(carve(sizes.right));
    stack_ = reinterpret_cast<T*>(carve(sizes.stack));
    columns_.place(carve(sizes.columns), task.tile_panels * kPanel<T>);
    terms_.place(carve(sizes.terms), task.chunk);
    steps_ = reinterpret_cast<Step*>(carve(sizes.steps));
    work_ = carve(sizes.work);
    offsets_ = reinterpret_cast<int64_t*>(carve(sizes.offsets));
  }

  void run(int64_t item) {
    const int64_t col_tile = item % task_.col_tiles;
    const int64_t block = item / task_.col_tiles % task_.row_blocks;
    group_ = item / task_.col_tiles / task_.row_blocks;
    first_tile_ = block * task_.block_tiles;
    last_tile_ = at_most(first_tile_ + task_.block_tiles, task_.row_tiles);
    first_row_ = row_tile(task_, first_tile_).first;
    const int64_t first_panel = col_tile * task_.tile_panels;
    panels_ = at_most(task_.tile_panels, task_.panels - first_panel);
    if (panels_ <= 0) return;  // rounding up left no columns for the last tiles
    const int64_t first_col = first_panel * kPanel<T>;
    cols_ = at_most(panels_ * kPanel<T>, task_.cols - first_col);
    list_columns(first_col);

    if (task_.terms == 0) {
      for (int64_t i = 0; i < panels_ * stack_panel(); ++i) stack_[i] = T{0};
    }
    const Operand& operand = task_.problem.right;
    Packer<T, S> packer(static_cast<const S*>(task_.right) + group_ * operand.group_offset, operand,
                        unsafe_, work_, task_.chunk);
    int64_t done = 0;
    for (Chunks chunks(task_); !chunks.done();) {
      if (task_.terms > task_.chunk || step_count_ == 0) {
        PlaceWriter writer(operand.term, Place{}, task_.problem.terms, unsafe_, terms_);
        step_count_ = chunks.next(writer, steps_);
      }
      packer.lists_changed();
      const int64_t right_panel = terms_.count * kPanel<T>;
      for (int64_t c = 0; c < panels_ * kPanel<T>; c += kLanes<T>) {
        const int n = static_cast<int>(at_least(at_most(cols_ - c, kLanes<T>), 0));
        T* dst = right_ + c / kPanel<T> * right_panel + c % kPanel<T>;
        if (n > 0) {
          packer.pack(columns_, c, n, kLanes<T>, terms_, dst, kPanel<T>);
        } else {
          for (int64_t t = 0; t < terms_.count; ++t) store<T>(dst + t * kPanel<T>, V<T>{});
        }
      }
      if (task_.arithmetic.fused || !task_.problem.product) {
        multiply<true>(done, right_panel);
      } else {
        multiply<false>(done, right_panel);
      }
      done += terms_.count;
      if (task_.terms <= task_.chunk) break;
    }
    finish(first_col);
  }

 private:
  int64_t stack_panel() const { return task_.block_rows * task_.depth * kPanel<T>; }
  /// Where the stack of a micro-tile begins.
  T* stack_of(int64_t panel, const RowTile& tile) const {
    return stack_ + panel * stack_panel() + (tile.first - first_row_) * task_.depth * kPanel<T>;
  }

  void list_columns(int64_t first) {
    const Operand& operand = task_.problem.right;
    PlaceWriter writer(operand.outer, operand.origin, task_.problem.cols, unsafe_, columns_);
    writer.append_range(first, cols_);
    writer.finish();
  }

  template <bool Fused>
  void multiply(int64_t done, int64_t right_panel) {
    for (int64_t p = 0; p < panels_;) {
      int64_t taken = 1;
      for (int64_t i = first_tile_; i < last_tile_; ++i) {
        // Tiles of one block differ by at most one row: the larger one decides on the panels.
        const RowTile tile = row_tile(task_, i);
        if (i == first_tile_) {
          taken = panels_at_once(tile.rows);
          while (taken > panels_ - p) taken /= 2;
        }
        MicroArguments<T> a;
        a.left = static_cast<const T*>(task_.packed_left) +
                 (group_ * task_.rows + tile.first) * task_.terms + done * tile.rows;
        a.right = right_ + p * right_panel;
        a.right_panel = right_panel;
        a.stack = stack_of(p, tile);
        a.stack_panel = stack_panel();
        a.steps = steps_;
        a.step_count = step_count_;
        find_micro<T, Fused>(tile.rows, static_cast<int>(taken))(a);
      }
      p += taken;
    }
  }

  void finish(int64_t first_col) {
    const Output& out = task_.problem.out;
    S* data = static_cast<S*>(task_.out);
    Digits c = task_.problem.cols.decode(first_col);
    bool contiguous = true;
    for (int64_t i = 0; i < cols_; ++i) {
      offsets_[i] = out.offset(group_, Digits{{0, 0, 0, 0}}, c);
      contiguous = contiguous && offsets_[i] == offsets_[0] + i;
      int d = kDigits - 1;
      while (d > 0 && ++c.d[d] == task_.problem.cols.d[d]) c.d[d--] = 0;
      if (d == 0) ++c.d[0];
    }
    for (int64_t i = first_tile_; i < last_tile_; ++i) {
      const RowTile tile = row_tile(task_, i);
      for (int r = 0; r < tile.rows; ++r) {
        const int64_t row = tile.first + r;
        const int64_t row_offset = out.row.dot(task_.problem.rows.decode(row));
        const S* bias = task_.bias == nullptr ? nullptr
                                              : static_cast<const S*>(task_.bias) +
                                                    (group_ * task_.rows + row) * task_.bias_stride;
        for (int64_t p = 0; p < panels_; ++p) {
          T* from = stack_of(p, tile) + r * kPanel<T>;
          const int64_t n = at_most(cols_ - p * kPanel<T>, kPanel<T>);
          if (bias != nullptr) add_to_row<T>(from, to_accumulator<T>(*bias));
          if constexpr (__is_same(T, S)) {
            if (contiguous) {
              std::memcpy(data + row_offset + offsets_[p * kPanel<T>], from,
                          static_cast<size_t>(n) * sizeof(T));
              continue;
            }
          }
          convert<T, S>(task_, from, n, data + row_offset, offsets_ + p * kPanel<T>);
        }
      }
    }
  }

  const Task& task_;
  UnsafeAxes unsafe_;
  T* right_;
  T* stack_;
  PlaceList columns_, terms_;
  Step* steps_;
  char* work_;
  int64_t* offsets_;
  int64_t step_count_ = 0;
  int64_t group_ = 0, first_tile_ = 0, last_tile_ = 0, first_row_ = 0, panels_ = 0, cols_ = 0;
};

template <class T, class S>
class DirectRunner {
 public:
  DirectRunner(const Task& task, char* scratch) : task_(task) {
    const DirectSizes<T> sizes(task);
    char* at = scratch;
    const auto carve = [&](int64_t bytes) {
      char* part = at;
      at += bytes;
      return part;
    };
    terms_.place(carve(sizes.terms), task.terms);
    steps_ = reinterpret_cast<Step*>(carve(sizes.steps));
    lanes_ = reinterpret_cast<uint16_t*>(carve(sizes.lanes));
    inside_ = reinterpret_cast<uint16_t*>(carve(sizes.inside));
    offsets_ = reinterpret_cast<int64_t*>(carve(sizes.offsets));

    const Operand& operand = task.problem.right;
    UnsafeAxes all(operand, task.problem.cols, task.problem.terms);
    for (bool& axis : all.axis) axis = true;
    PlaceWriter writer(operand.term, Place{}, task.problem.terms, all, terms_);
    step_count_ = Chunks(task).next(writer, steps_);
    make_lanes();
    for (int l = 0; l < kLanes<T>; ++l) offsets_[l] = l * task.problem.out.col.w[3];
  }

  void run(int64_t item) {
    const Digits& cols = task_.problem.cols;
    const int64_t group = item / cols.d[0];
    Digits c{{item % cols.d[0], 0, 0, 0}};
    for (c.d[1] = 0; c.d[1] < cols.d[1]; ++c.d[1]) {
      for (c.d[2] = 0; c.d[2] < cols.d[2]; ++c.d[2]) {
        c.d[3] = 0;
        line(group, c);
      }
    }
  }

 private:
  int64_t vectors() const { return ceil_div(task_.problem.cols.d[3], kLanes<T>); }

  void make_lanes() {
    const Operand& operand = task_.problem.right;
    for (int64_t v = 0; v < vectors(); ++v) {
      for (int64_t t = 0; t < task_.terms; ++t) {
        uint32_t mask = 0;
        for (int l = 0; l < kLanes<T>; ++l) {
          const int64_t col = v * kLanes<T> + l;
          const int64_t x =
              operand.origin.x[2] + operand.outer.step[2] * col + terms_.entry[t].x[2];
          const bool in = col < task_.problem.cols.d[3] && x >= 0 && x < operand.extent[2];
          mask |= static_cast<uint32_t>(in) << l;
        }
        lanes_[v * task_.terms + t] = static_cast<uint16_t>(mask);
      }
    }
  }

  /// The outputs along the last axis that begin at column c.
  void line(int64_t group, const Digits& c) {
    const Operand& operand = task_.problem.right;
    const Place at = operand.origin + operand.outer.place(c);
    for (int64_t t = 0; t < task_.terms; ++t) {
      const Entry& e = terms_.entry[t];
      const bool in = at.x[0] + e.x[0] >= 0 && at.x[0] + e.x[0] < operand.extent[0] &&
                      at.x[1] + e.x[1] >= 0 && at.x[1] + e.x[1] < operand.extent[1];
      inside_[t] = in ? uint16_t{0xffff} : uint16_t{0};
    }
    const Output& out = task_.problem.out;
    DirectSum<T, S> a;
    a.terms = terms_.entry;
    a.steps = steps_;
    a.step_count = step_count_;
    a.rows = task_.rows;
    a.stride = operand.outer.offset.w[3];
    a.inside = inside_;
    const S* data = static_cast<const S*>(task_.right) + group * operand.group_offset;
    for (int64_t row = 0; row < task_.rows; ++row) {
      const int64_t number = group * task_.rows + row;
      a.left = static_cast<const T*>(task_.packed_left) + group * task_.rows * task_.terms + row;
      S* to = static_cast<S*>(task_.out) + out.offset(group, task_.problem.rows.decode(row), c);
      for (int64_t v = 0; v < vectors(); ++v) {
        const int64_t first = v * kLanes<T>;
        a.base = data + (at.offset + first * a.stride);
        a.lanes = lanes_ + v * task_.terms;
        V<T> sum = task_.arithmetic.fused ? direct_sum<T, S, true>(a) : direct_sum<T, S, false>(a);
        if (task_.bias != nullptr) {
          const S b = static_cast<const S*>(task_.bias)[number * task_.bias_stride];
          sum = add<T>(sum, broadcast<T>(to_accumulator<T>(b)));
        }
        const int n = static_cast<int>(at_most(task_.problem.cols.d[3] - first, kLanes<T>));
        if constexpr (__is_same(T, S)) {
          if (out.col.w[3] == 1) {
            store_first<T>(to + first, sum, n);
            continue;
          }
        }
        T lanes[kLanes<T>];
        store<T>(lanes, sum);
        convert<T, S>(task_, lanes, n, to + first * out.col.w[3], offsets_);
      }
    }
  }

  const Task& task_;
  PlaceList terms_;
  Step* steps_;
  uint16_t* lanes_;
  uint16_t* inside_;
  int64_t* offsets_;
  int64_t step_count_ = 0;
};

template <class T, class S>
class GroupedRunner {
 public:
  GroupedRunner(const Task& task, char* scratch)
      : task_(task),
        unsafe_left_(task.problem.left, task.problem.rows, task.problem.terms),
        unsafe_right_(task.problem.right, task.problem.cols, task.problem.terms) {
    const GroupedSizes<T> sizes(task);
    char* at = scratch;
    const auto carve = [&](int64_t bytes) {
      char* part = at;
      at += bytes;
      return part;
    };
    left_ = reinterpret_cast<T*>(carve(sizes.left));
    right_ = reinterpret_cast<T*>(carve(sizes.right));
    stack_ = reinterpret_cast<T*>(carve(sizes.stack));
    lanes_.place(carve(sizes.lanes), kLanes<T>);
    left_terms_.place(carve(sizes.terms), task.chunk);
    right_terms_.place(carve(sizes.terms), task.chunk);
    steps_ = reinterpret_cast<Step*>(carve(sizes.steps));
    work_ = carve(sizes.work);
  }

  void run(int64_t item) {
    const int64_t first_group = item / task_.col_tiles * kLanes<T>;
    const int n = static_cast<int>(at_most(task_.problem.groups - first_group, kLanes<T>));
    const int64_t tile = item % task_.col_tiles;
    const int64_t first_col = tile * task_.cols / task_.col_tiles;
    const int columns = static_cast<int>((tile + 1) * task_.cols / task_.col_tiles - first_col);

    const Operand& left = task_.problem.left;
    const Operand& right = task_.problem.right;
    Packer<T, S> left_packer(static_cast<const S*>(task_.left) + first_group * left.group_offset,
                             left, unsafe_left_, work_, task_.chunk);
    Packer<T, S> right_packer(static_cast<const S*>(task_.right) + first_group * right.group_offset,
                              right, unsafe_right_, work_, task_.chunk);
    GroupedArguments<T> a{left_, right_, 0, stack_, steps_, 0};
    for (Chunks chunks(task_), twin(task_); !chunks.done();) {
      PlaceWriter left_writer(left.term, Place{}, task_.problem.terms, unsafe_left_, left_terms_);
      PlaceWriter right_writer(right.term, Place{}, task_.problem.terms, unsafe_right_,
                               right_terms_);
      a.step_count = chunks.next(left_writer, steps_);
      twin.next(right_writer, steps_);
      a.right_column = right_terms_.count * kLanes<T>;
      list_groups(left, unsafe_left_, Place{}, n);
      left_packer.lists_changed();
      left_packer.pack(lanes_, 0, n, kLanes<T>, left_terms_, left_, kLanes<T>);
      for (int c = 0; c < columns; ++c) {
        const Digits col = task_.problem.cols.decode(first_col + c);
        list_groups(right, unsafe_right_, right.outer.place(col), n);
        right_packer.lists_changed();
        right_packer.pack(lanes_, 0, n, kLanes<T>, right_terms_, right_ + c * a.right_column,
                          kLanes<T>);
      }
      (task_.arithmetic.fused ? find_grouped<T, true>(columns)
                              : find_grouped<T, false>(columns))(a);
    }
    finish(first_group, n, first_col, columns);
  }

 private:
  /// Lane l is group l from the packer's data.
  void list_groups(const Operand& operand, const UnsafeAxes& unsafe, const Place& outer, int n) {
    const Place at = operand.origin + outer;
    lanes_.count = n;
    lanes_.kinds = 1;
    lanes_.representative[0] = 0;
    for (int l = 0; l < n; ++l) {
      Entry& e = lanes_.entry[l];
      e.offset = at.offset + l * operand.group_offset;
      lanes_.kind[l] = 0;
      for (int i = 0; i < kAxes; ++i) e.x[i] = unsafe.axis[i] ? at.x[i] : 0;
    }
  }

  void finish(int64_t first_group, int n, int64_t first_col, int columns) {
    const Output& out = task_.problem.out;
    T bias[kLanes<T>] = {};
    int64_t offsets[kLanes<T>] = {};
    if (task_.bias != nullptr) {
      for (int l = 0; l < n; ++l) {
        bias[l] = to_accumulator<T>(
            static_cast<const S*>(task_.bias)[(first_group + l) * task_.bias_stride]);
      }
    }
    for (int c = 0; c < columns; ++c) {
      const Digits col = task_.problem.cols.decode(first_col + c);
      for (int l = 0; l < n; ++l) {
        offsets[l] = out.offset(first_group + l, Digits{{0, 0, 0, 0}}, col);
      }
      T* sum = stack_ + c * kLanes<T>;
      if (task_.bias != nullptr) store<T>(sum, add<T>(load<T>(sum), load<T>(bias)));
      convert<T, S>(task_, sum, n, static_cast<S*>(task_.out), offsets);
    }
  }

  const Task& task_;
  UnsafeAxes unsafe_left_, unsafe_right_;
  T* left_;
  T* right_;
  T* stack_;
  PlaceList lanes_, left_terms_, right_terms_;
  Step* steps_;
  char* work_;
};

void run(const void* opaque, void* scratch, int64_t begin, int64_t end) {
  const Task& task = *static_cast<const Task*>(opaque);
  const EnvironmentGuard guard(task.arithmetic.rounding);
  with_types(task, [&]<class T, class S>(T, S) {
    if (task.method == Method::Direct) {
      DirectRunner<T, S> runner(task, static_cast<char*>(scratch));
      for (int64_t item = begin; item < end; ++item) runner.run(item);
      return;
    }
    if (task.method == Method::Grouped) {
      GroupedRunner<T, S> runner(task, static_cast<char*>(scratch));
      for (int64_t item = begin; item < end; ++item) runner.run(item);
      return;
    }
    Runner<T, S> runner(task, static_cast<char*>(scratch));
    for (int64_t item = begin; item < end; ++item) runner.run(item);
  });
}

}  // namespace

const cpu::ContractionKernels& contraction_kernels() {
  static constexpr cpu::ContractionKernels kKernels{plan, pack_left, run};
  return kKernels;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
