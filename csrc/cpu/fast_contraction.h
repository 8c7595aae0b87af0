// SPDX-License-Identifier: MIT
// Test hook of the fast contraction: sizes and the choice of method, which never enter a result.
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
  int64_t workers = 0;  ///< threads planned for
  std::string method;   ///< what it does not cover, fast_contraction_covers() denies
};
void set_knobs(const Knobs& knobs);

/// Names of the methods, in the sequence in which they are considered.
std::vector<std::string> contraction_methods();

}  // namespace fpdet::cpu
