// SPDX-License-Identifier: MIT
// Partial sums (core/partials.h) on the CPU. No width, thread count or instruction set enters one:
// partials are exact.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "../core/element.h"
#include "../core/partials.h"
#include "contraction.h"

namespace fpdet::cpu {

/// Partials by output: three numbers each, and those that need more.
class PartialTable {
 public:
  explicit PartialTable(int64_t outputs) : outputs_(outputs), first_(3 * size_of(outputs)) {}

  void set(int64_t output, const Partial& partial);  ///< from any thread, each output once

  int64_t numbers() const { return numbers_; }
  void copy_to(double* planes) const;  ///< [numbers()][outputs]

 private:
  struct Long {
    int64_t output;
    Partial partial;
  };
  static size_t size_of(int64_t n) { return static_cast<size_t>(n); }

  int64_t outputs_;
  std::atomic<int64_t> numbers_{kPartialMin};
  std::vector<double> first_;
  std::vector<Long> long_;
  std::mutex mutex_;
};

/// One side of the products: element (group, row, term) lies at data[...] of a scalar.
struct PartialOperand {
  const void* data = nullptr;
  int64_t group = 0, row = 0, term = 0;  ///< strides
};

/// For each group, row m of the left and n of the right operand: the sum over t of left * right.
/// Scalars narrower than float64.
struct PartialProducts {
  Scalar scalar = Scalar::Float32;
  int64_t groups = 0, left_rows = 0, right_rows = 0, terms = 0;
  PartialOperand left, right;

  int64_t outputs() const { return groups * left_rows * right_rows; }
};

/// Into outputs numbered (group, left row, right row).
void partial_products(const PartialProducts& call, PartialTable& table,
                      const ParallelFor& parallel_for);

/// Partials of one shape: number i of part r of output j lies at planes[(r * numbers + i) * outputs
/// + j].
struct PartialParts {
  int64_t parts = 0, numbers = 0, outputs = 0;
  const double* planes = nullptr;
};

/// The partials of the parts' whole sums.
void merge_partials(const PartialParts& parts, PartialTable& table,
                    const ParallelFor& parallel_for);

/// The whole sums, rounded once; of no terms +0.
void round_partials(const PartialParts& parts, Rounding rounding, Scalar scalar, void* out,
                    const ParallelFor& parallel_for);

}  // namespace fpdet::cpu
