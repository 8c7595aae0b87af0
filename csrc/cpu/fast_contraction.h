// SPDX-License-Identifier: MIT
// Hooks of tests and benchmarks into the fast contraction: sizes and the choice of method, which
// never enter a result, and the memory it took.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fpdet::cpu {

/// For all following calls, in all threads; 0 and "" let the plan choose.
struct Knobs {
  int64_t columns = 0;  ///< of a tile
  int64_t terms = 0;    ///< of a chunk
  int64_t rows = 0;     ///< of a block
  int64_t workers = 0;  ///< threads planned for; the smallest work is shared among them, too
  std::string method;   ///< what it does not cover, fast_contraction_covers() denies
};
void set_knobs(const Knobs& knobs);

/// Names of the methods, in the sequence in which they are considered.
std::vector<std::string> contraction_methods();

/// Bytes of work memory.
struct WorkMemory {
  int64_t scratch = 0;      ///< of one thread, at most kernels::kScratchLimit
  int64_t packed_left = 0;  ///< shared by the threads of a call
};

/// The most that a fast contraction took since the last call of this function.
WorkMemory take_work_memory();

}  // namespace fpdet::cpu
