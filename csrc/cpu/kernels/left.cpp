// SPDX-License-Identifier: MIT
#include "left.h"

#include "../../core/environment.h"
#include "chunks.h"
#include "pack.h"

namespace fpdet::inline FPDET_TARGET::kernels {

namespace {

/// What the next tile reads comes from far away, a few cache lines of each row.
template <class S>
void ask_for(const Task& task, int64_t item, const PlaceList& terms) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(S));
  const Operand& operand = task.problem.left;
  const RowTile tile = row_tile(task, item % task.row_tiles);
  const S* data = static_cast<const S*>(task.left) +
                  item / task.row_tiles * operand.group_offset + operand.origin.offset;
  const bool side_by_side =
      terms.count > 1 && terms.entry[terms.count - 1].offset - terms.entry[0].offset < 2 * terms.count;
  for (int r = 0; r < tile.rows; ++r) {
    const S* row = data + operand.outer.offset.dot(task.problem.rows.decode(tile.first + r));
    for (int64_t t = 0; t < terms.count; t += side_by_side ? kLine / 2 : 1) {
      __builtin_prefetch(row + terms.entry[t].offset, 0, 3);
    }
  }
}

}  // namespace

template <class T, class S>
void pack_left_typed(const Task& task, int64_t begin, int64_t end) {
  const Operand& operand = task.problem.left;
  const UnsafeAxes unsafe(operand, task.problem.rows, task.problem.terms);
  const bool whole = !unsafe.axis[0] && !unsafe.axis[1] && !unsafe.axis[2];
  // Few terms of all tiles before the next few: rows of one term may share cache lines.
  constexpr int64_t kTerms = 64;
  alignas(64) char term_memory[kTerms * PlaceList::kBytesPerEntry];
  alignas(64) char row_memory[kMostTileRows * PlaceList::kBytesPerEntry];
  alignas(64) char work[Packer<T, S>::work_bytes(kTerms)];
  Step steps[kTerms];
  PlaceList terms, rows;
  terms.place(term_memory, kTerms);
  rows.place(row_memory, kMostTileRows);
  Task small = task;
  small.chunk = kTerms;
  const auto packed = [&](int64_t item) {
    const int64_t first = item / task.row_tiles * task.rows;
    return static_cast<T*>(task.packed_left) +
           (first + row_tile(task, item % task.row_tiles).first) * task.terms;
  };

  if (!task.problem.product) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t count = task.terms * row_tile(task, item % task.row_tiles).rows;
      for (int64_t i = 0; i < count; ++i) packed(item)[i] = T{1};
    }
    return;
  }
  int64_t done = 0;
  for (Chunks chunks(small); !chunks.done(); done += terms.count) {
    PlaceWriter writer(operand.term, Place{}, task.problem.terms, unsafe, terms);
    chunks.next(writer, steps);
    int64_t group = -1;
    Packer<T, S> packer(static_cast<const S*>(task.left), operand, unsafe, work, kTerms);
    for (int64_t item = begin; item < end; ++item) {
      const RowTile tile = row_tile(task, item % task.row_tiles);
      PlaceWriter row_writer(operand.outer, operand.origin, task.problem.rows, unsafe, rows);
      row_writer.append_range(tile.first, tile.rows);
      row_writer.finish();
      if (group != item / task.row_tiles) {
        group = item / task.row_tiles;
        packer.move_to(static_cast<const S*>(task.left) + group * operand.group_offset);
      }
      if (!whole) packer.lists_changed();
      if (item + 1 < end) ask_for<S>(task, item + 1, terms);
      T* dst = packed(item) + done * tile.rows;
      for (int r = 0; r < tile.rows; r += kLanes<T>) {
        const int n = static_cast<int>(at_most(tile.rows - r, kLanes<T>));
        packer.pack(rows, r, n, n, terms, dst + r, tile.rows);
      }
    }
  }
}

template void pack_left_typed<double, float>(const Task&, int64_t, int64_t);
template void pack_left_typed<double, BFloat16>(const Task&, int64_t, int64_t);
template void pack_left_typed<double, Float16>(const Task&, int64_t, int64_t);

void pack_left(const Task& task, int64_t begin, int64_t end) {
  const EnvironmentGuard guard(task.arithmetic.rounding);
  with_types(task, [&]<class T, class S>(T, S) { pack_left_typed<T, S>(task, begin, end); });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
