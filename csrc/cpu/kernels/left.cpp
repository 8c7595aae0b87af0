// SPDX-License-Identifier: MIT
#include "left.h"

#include "../../core/environment.h"
#include "chunks.h"
#include "pack.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class T, class S>
void pack_left_typed(const Task& task, int64_t begin, int64_t end) {
  const Operand& operand = task.problem.left;
  const UnsafeAxes unsafe(operand, task.problem.rows, task.problem.terms);
  const bool whole = !unsafe.axis[0] && !unsafe.axis[1] && !unsafe.axis[2];
  // Where terms lie apart, rows share cache lines: few terms of all tiles before the next few.
  const Digits& radix = task.problem.terms;
  const Weights& by_term = operand.term.offset;
  const bool side_by_side = (radix.d[3] > 1 ? by_term.w[3] : by_term.w[0]) == 1;
  constexpr int64_t kTerms = 256, kFewTerms = 32;
  alignas(64) char term_memory[kTerms * PlaceList::kBytesPerEntry];
  alignas(64) char row_memory[kMostTileRows * PlaceList::kBytesPerEntry];
  alignas(64) char work[Packer<T, S>::work_bytes(kTerms)];
  Step steps[kTerms];
  PlaceList terms, rows;
  terms.place(term_memory, kTerms);
  rows.place(row_memory, kMostTileRows);
  Task small = task;
  small.chunk = side_by_side ? kTerms : kFewTerms;
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
  // The next tile's rows are on their way while this one's are packed.
  const auto ask_for = [&](int64_t item) {
    constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(S));
    const RowTile tile = row_tile(task, item % task.row_tiles);
    const S* data = static_cast<const S*>(task.left) +
                    item / task.row_tiles * operand.group_offset + operand.origin.offset +
                    terms.entry[0].offset;
    const int64_t reach = terms.entry[terms.count - 1].offset - terms.entry[0].offset;
    for (int r = 0; r < tile.rows; ++r) {
      const S* row = data + operand.outer.offset.dot(task.problem.rows.decode(tile.first + r));
      for (int64_t i = 0; i <= at_most(reach, kTerms); i += kLine)
        __builtin_prefetch(row + i, 0, 2);
    }
  };
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
      if (side_by_side && item + 1 < end) ask_for(item + 1);
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
