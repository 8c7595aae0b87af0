// SPDX-License-Identifier: MIT
// Carried sums (core/partials.h) of products, many at a time: lanes are columns.
#pragma once

#include <cstdint>

#include "../../core/config.h"

namespace fpdet::cpu {

/// state(row, column) takes up left(row, t) * right(t, column) for all t.
struct CarriedTask {
  int64_t rows = 0, terms = 0, columns = 0;  ///< columns: a multiple of kCarriedLanes
  const double* left = nullptr;              ///< [rows][terms]
  const double* right = nullptr;             ///< [terms][columns]
  double* state = nullptr;                   ///< [rows][sum, error, rest, lost][columns]
};

inline constexpr int kCarriedLanes = 8;

}  // namespace fpdet::cpu

// Defined by carried_sums.cpp, compiled once per name.
namespace fpdet {
inline namespace FPDET_TARGET {}
#if defined(__x86_64__)
namespace avx2::kernels {
void carried_sums(const cpu::CarriedTask& task);
}
namespace avx512::kernels {
void carried_sums(const cpu::CarriedTask& task);
}
#else
namespace baseline::kernels {
void carried_sums(const cpu::CarriedTask& task);
}
#endif
}  // namespace fpdet
