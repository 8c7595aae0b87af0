// SPDX-License-Identifier: MIT
// A loop's range on its way to threads: each asks for a piece, carries it out, and asks again.
#pragma once

#include <cstdint>

namespace fpdet::cpu {

/// What one thread of a loop is given. Which pieces it gets hangs on how fast the others are: no
/// result may hang on it.
class Pieces {
 public:
  /// The next piece, [begin, end), or false: no more for this thread.
  virtual bool next(int64_t& begin, int64_t& end) = 0;

 protected:
  ~Pieces() = default;
};

}  // namespace fpdet::cpu
