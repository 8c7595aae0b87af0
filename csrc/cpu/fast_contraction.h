// SPDX-License-Identifier: MIT
// Test hook of the fast contraction: tile sizes, which never enter a result.
#pragma once

#include <cstdint>

namespace fpdet::cpu {

/// Columns of a tile, terms of a chunk, rows of a block and the number of threads planned for; 0
/// lets the plan choose. For all following calls, in all threads.
void set_tiles(int64_t columns, int64_t terms, int64_t rows, int64_t workers);

}  // namespace fpdet::cpu
