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
  constexpr int64_t kTerms = 128;
  alignas(64) char term_memory[kTerms * PlaceList::kBytesPerEntry];
  alignas(64) char row_memory[kMostTileRows * PlaceList::kBytesPerEntry];
  alignas(64) char work[Packer<T, S>::work_bytes(kTerms)];
  Step steps[kTerms];
  PlaceList terms, rows;
  terms.place(term_memory, kTerms);
  rows.place(row_memory, kMostTileRows);
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

template void pack_left_typed<double, float>(const Task&, int64_t, int64_t);
template void pack_left_typed<double, BFloat16>(const Task&, int64_t, int64_t);
template void pack_left_typed<double, Float16>(const Task&, int64_t, int64_t);

void pack_left(const Task& task, int64_t begin, int64_t end) {
  const EnvironmentGuard guard(task.arithmetic.rounding);
  with_types(task, [&]<class T, class S>(T, S) { pack_left_typed<T, S>(task, begin, end); });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
