// SPDX-License-Identifier: MIT
#include "partials.h"

#include <algorithm>
#include <memory>

#include "../core/environment.h"
#include "../core/exact_stages.h"
#include "dispatch.h"

namespace fpdet::cpu {
namespace {

constexpr int64_t kBlock = 64;   // rows of either operand in one task
constexpr int64_t kTerms = 256;  // taken up at once: 128 KiB of the right operand

template <class T>
double element_of(const PartialOperand& x, int64_t group, int64_t row, int64_t term) {
  return widen(static_cast<const T*>(x.data)[group * x.group + row * x.row + term * x.term]);
}

/// One output by its definition.
template <class T>
Partial defined(const PartialProducts& call, int64_t group, int64_t m, int64_t n, ExactSum& sum) {
  sum.clear();
  for (int64_t t = 0; t < call.terms; ++t) {
    sum.add_product(element_of<T>(call.left, group, m, t), element_of<T>(call.right, group, n, t));
  }
  return partial_of(sum);
}

/// Rows [m, m + rows) times [n, n + columns) of a group.
struct Block {
  int64_t group, m, rows, n, columns;
};

/// Memory of one task, reused by the next.
struct Scratch {
  std::vector<double> left, right, state;

  explicit Scratch(const PartialProducts& call) {
    const auto rows = static_cast<size_t>(std::min(kBlock, call.left_rows));
    left.resize(rows * kTerms);
    right.resize(kTerms * kBlock);
    state.resize(rows * 4 * kBlock);
  }
};

int64_t padded(int64_t columns) {
  return (columns + kCarriedLanes - 1) / kCarriedLanes * kCarriedLanes;
}

/// Lanes are rows of the right operand.
template <class T>
void pack_block(const PartialProducts& call, const Block& b, int64_t first, int64_t terms,
                Scratch& scratch) {
  const int64_t width = padded(b.columns);
  for (int64_t i = 0; i < b.rows; ++i) {
    double* to = scratch.left.data() + i * terms;
    for (int64_t t = 0; t < terms; ++t) {
      to[t] = element_of<T>(call.left, b.group, b.m + i, first + t);
    }
  }
  std::fill_n(scratch.right.data(), terms * width, 0.0);
  for (int64_t j = 0; j < b.columns; ++j) {
    for (int64_t t = 0; t < terms; ++t) {
      scratch.right[static_cast<size_t>(t * width + j)] =
          element_of<T>(call.right, b.group, b.n + j, first + t);
    }
  }
}

void finish(const Block& b, const PartialProducts& call, CarriedSum<double> carried, int64_t m,
            int64_t n, ExactSum& sum, PartialTable& table) {
  Partial partial;
  if (!partial_of(carried, partial)) {
    partial =
        with_scalar(call.scalar, [&]<class T>(T) { return defined<T>(call, b.group, m, n, sum); });
  }
  table.set((b.group * call.left_rows + m) * call.right_rows + n, partial);
}

CarriedSum<double> state_at(const Scratch& scratch, int64_t row, int64_t width, int64_t column) {
  const double* at = scratch.state.data() + row * 4 * width + column;
  return {at[0], at[width], at[2 * width], at[3 * width]};
}

template <class T>
void wide_block(const PartialProducts& call, const Block& b, Scratch& scratch, ExactSum& sum,
                PartialTable& table) {
  const int64_t width = padded(b.columns);
  std::fill_n(scratch.state.data(), b.rows * 4 * width, 0.0);
  for (int64_t first = 0; first < call.terms; first += kTerms) {
    const int64_t terms = std::min(kTerms, call.terms - first);
    pack_block<T>(call, b, first, terms, scratch);
    carried_sums()(
        {b.rows, terms, width, scratch.left.data(), scratch.right.data(), scratch.state.data()});
  }
  for (int64_t i = 0; i < b.rows; ++i) {
    for (int64_t j = 0; j < b.columns; ++j) {
      finish(b, call, state_at(scratch, i, width, j), b.m + i, b.n + j, sum, table);
    }
  }
}

/// Too few rows to fill lanes: lanes are every kCarriedLanes-th term of one output, the operands'
/// products (exact) the right operand of 1.
template <class T>
void narrow_block(const PartialProducts& call, const Block& b, Scratch& scratch, ExactSum& sum,
                  PartialTable& table) {
  constexpr int64_t kWidth = kCarriedLanes;
  constexpr int64_t kAtOnce = kTerms * kWidth;
  std::fill_n(scratch.left.data(), kTerms, 1.0);
  for (int64_t m = b.m; m < b.m + b.rows; ++m) {
    for (int64_t n = b.n; n < b.n + b.columns; ++n) {
      std::fill_n(scratch.state.data(), 4 * kWidth, 0.0);
      for (int64_t first = 0; first < call.terms; first += kAtOnce) {
        const int64_t terms = std::min(kAtOnce, call.terms - first);
        const int64_t filled = (terms + kWidth - 1) / kWidth * kWidth;
        for (int64_t t = 0; t < terms; ++t) {
          scratch.right[static_cast<size_t>(t)] = element_of<T>(call.left, b.group, m, first + t) *
                                                  element_of<T>(call.right, b.group, n, first + t);
        }
        std::fill(scratch.right.begin() + terms, scratch.right.begin() + filled, 0.0);
        carried_sums()({1, filled / kWidth, kWidth, scratch.left.data(), scratch.right.data(),
                        scratch.state.data()});
      }
      CarriedSum<double> all;
      for (int64_t lane = 0; lane < kWidth; ++lane) {
        const CarriedSum<double> part = state_at(scratch, 0, kWidth, lane);
        all.add(part.sum);
        all.add(part.error);
        all.add(part.rest);
        all.lost += part.lost;
      }
      finish(b, call, all, m, n, sum, table);
    }
  }
}

template <class T>
void compute(const PartialProducts& call, const Block& b, Scratch& scratch, ExactSum& sum,
             PartialTable& table) {
  if (!has_kernels()) {
    for (int64_t m = b.m; m < b.m + b.rows; ++m) {
      for (int64_t n = b.n; n < b.n + b.columns; ++n) {
        table.set((b.group * call.left_rows + m) * call.right_rows + n,
                  defined<T>(call, b.group, m, n, sum));
      }
    }
  } else if (b.columns < kCarriedLanes) {
    narrow_block<T>(call, b, scratch, sum, table);
  } else {
    wide_block<T>(call, b, scratch, sum, table);
  }
}

}  // namespace

void PartialTable::set(int64_t output, const Partial& partial) {
  for (int64_t i = 0; i < 3; ++i) {
    first_[size_of(i * outputs_ + output)] = i < partial.count ? partial.numbers[i] : 0.0;
  }
  if (partial.count <= 3 && partial.count <= numbers()) return;
  const std::lock_guard lock(mutex_);
  numbers_ = std::max<int64_t>(numbers_, partial.count);
  if (partial.count > 3) long_.push_back({output, partial});
}

void PartialTable::copy_to(double* planes) const {
  std::copy_n(first_.data(), std::min<int64_t>(3, numbers()) * outputs_, planes);
  if (numbers() > 3) std::fill_n(planes + 3 * outputs_, (numbers() - 3) * outputs_, 0.0);
  for (const Long& each : long_) {
    for (int64_t i = 3; i < each.partial.count; ++i) {
      planes[i * outputs_ + each.output] = each.partial.numbers[i];
    }
  }
}

void partial_products(const PartialProducts& call, PartialTable& table,
                      const ParallelFor& parallel_for) {
  if (call.terms == 0) {
    for (int64_t i = 0; i < call.outputs(); ++i) table.set(i, Partial{});
    return;
  }
  const int64_t row_blocks = (call.left_rows + kBlock - 1) / kBlock;
  const int64_t column_blocks = (call.right_rows + kBlock - 1) / kBlock;
  for_each_piece(
      parallel_for, call.groups * row_blocks * column_blocks, 1, [&](int64_t begin, int64_t end) {
        const EnvironmentGuard guard(Rounding::NearestEven);
        const auto sum = std::make_unique<ExactSum>();
        Scratch scratch(call);
        for (int64_t i = begin; i < end; ++i) {
          Block b{i / (row_blocks * column_blocks), i / column_blocks % row_blocks * kBlock, 0,
                  i % column_blocks * kBlock, 0};
          b.rows = std::min(kBlock, call.left_rows - b.m);
          b.columns = std::min(kBlock, call.right_rows - b.n);
          with_scalar(call.scalar, [&]<class T>(T) { compute<T>(call, b, scratch, *sum, table); });
        }
      });
}

namespace {

/// Whether any part has terms.
bool add_parts(const PartialParts& parts, int64_t output, ExactSum& sum) {
  sum.clear();
  bool any = false;
  for (int64_t part = 0; part < parts.parts; ++part) {
    any |= add_partial(sum, parts.planes + part * parts.numbers * parts.outputs + output,
                       parts.outputs, parts.numbers);
  }
  return any;
}

/// The partial of the whole where few additions suffice; false where they do not.
bool carry_parts(const PartialParts& parts, int64_t output, Partial& partial) {
  CarriedSum<double> carried;
  const double* at = parts.planes + output;
  for (int64_t i = 0; i < parts.parts * parts.numbers; ++i, at += parts.outputs) carried.add(*at);
  return partial_of(carried, partial);
}

}  // namespace

void merge_partials(const PartialParts& parts, PartialTable& table,
                    const ParallelFor& parallel_for) {
  for_each_piece(parallel_for, parts.outputs, 256, [&](int64_t begin, int64_t end) {
    const EnvironmentGuard guard(Rounding::NearestEven);
    const auto sum = std::make_unique<ExactSum>();
    for (int64_t i = begin; i < end; ++i) {
      Partial partial;
      if (!carry_parts(parts, i, partial) && add_parts(parts, i, *sum)) partial = partial_of(*sum);
      table.set(i, partial);
    }
  });
}

void round_partials(const PartialParts& parts, Rounding rounding, Scalar scalar, void* out,
                    const ParallelFor& parallel_for) {
  for_each_piece(parallel_for, parts.outputs, 256, [&](int64_t begin, int64_t end) {
    const EnvironmentGuard guard(Rounding::NearestEven);
    const auto sum = std::make_unique<ExactSum>();
    with_scalar(scalar, [&]<class T>(T) {
      for (int64_t i = begin; i < end; ++i) {
        Partial partial;
        double whole = 0.0;
        if (carry_parts(parts, i, partial) && partial.count == 2) {
          whole = round_pair(partial.numbers[0], partial.numbers[1], kFormatOf<T>, rounding, {}, 0);
        } else if (add_parts(parts, i, *sum)) {
          whole = sum->round(kFormatOf<T>, rounding);
        }
        store(whole, static_cast<T*>(out)[i]);
      }
    });
  });
}

}  // namespace fpdet::cpu
