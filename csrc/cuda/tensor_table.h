// SPDX-License-Identifier: MIT
// Steps of many tensors in one launch: the tensors' table travels with the launch.
#pragma once

#include <cstdint>
#include <vector>

#include "machine.h"

namespace fpdet::cuda {

/// Arguments of a launch must not exceed this.
inline constexpr size_t kTaskBytes = 32764;

template <class Tensor>
struct TensorTable {
  static constexpr int kMost = 24576 / static_cast<int>(sizeof(Tensor) + sizeof(int64_t));
  static constexpr int64_t kChunk = 4096;  ///< elements that a block takes at a time

  int tensors = 0;
  int64_t chunks[kMost + 1] = {};  ///< those of tensor i are [chunks[i], chunks[i + 1])
  Tensor table[kMost] = {};

  FPDET_HD int64_t all_chunks() const { return chunks[tensors]; }
  /// The tensor that a chunk is of.
  FPDET_HD int tensor_of(int64_t chunk) const {
    int low = 0, high = tensors;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (chunk < chunks[middle] ? high : low) = middle;
    }
    return low;
  }
};

/// f(tensor, begin, end) for this block's chunks.
template <class Tensor, class Block, class F>
FPDET_HD void for_chunks(const TensorTable<Tensor>& table, const Block& block, F&& f) {
  constexpr int64_t kChunk = TensorTable<Tensor>::kChunk;
  for (int64_t chunk = block.index(); chunk < table.all_chunks(); chunk += block.count()) {
    const int i = table.tensor_of(chunk);
    const int64_t begin = (chunk - table.chunks[i]) * kChunk;
    const int64_t rest = table.table[i].count - begin;
    f(table.table[i], begin, begin + (rest < kChunk ? rest : kChunk));
  }
}

/// One launch for each full table of the tensors; `task.tensors` is the table.
template <class Kernel, class Tensor, class Machine>
void launch_tables(typename Kernel::Task& task, const std::vector<Tensor>& tensors,
                   Machine& machine) {
  using Table = TensorTable<Tensor>;
  static_assert(sizeof(typename Kernel::Task) <= kTaskBytes);
  Table& table = task.tensors;
  for (size_t begin = 0; begin < tensors.size(); begin += Table::kMost) {
    table.tensors = 0;
    for (size_t i = begin; i < tensors.size() && table.tensors < Table::kMost; ++i) {
      const int number = table.tensors++;
      const int64_t chunks = (tensors[i].count + Table::kChunk - 1) / Table::kChunk;
      table.table[number] = tensors[i];
      table.chunks[number + 1] = table.chunks[number] + chunks;
    }
    const int64_t most = 16 * machine.multiprocessors();
    machine.template launch<Kernel>(table.all_chunks() < most ? table.all_chunks() : most, task);
  }
}

}  // namespace fpdet::cuda
