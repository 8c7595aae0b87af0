// SPDX-License-Identifier: MIT
// The broadcast method's left operand: panels of up to kRowVectors vectors of rows.
#pragma once

#include "broadcast_micro.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Panel i of `vectors` vectors of rows: full ones of `width` first, then a rest of powers of two.
struct RowPanel {
  int64_t first;  ///< vector
  int vectors;
};
inline RowPanel row_panel(int64_t vectors, int width, int64_t i) {
  const int64_t full = vectors / width;
  if (i < full) return {i * width, width};
  RowPanel panel{full * width, width};
  for (int64_t skip = i - full; skip >= 0; --skip) {
    do {
      panel.vectors /= 2;
    } while ((vectors & panel.vectors) == 0);
    if (skip > 0) panel.first += panel.vectors;
  }
  return panel;
}
inline int64_t row_panels(int64_t vectors, int width) {
  int64_t count = vectors / width;
  for (int64_t rest = vectors % width; rest != 0; rest &= rest - 1) ++count;
  return count;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
