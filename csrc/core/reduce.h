// SPDX-License-Identifier: MIT
// The definition of one output element: its terms, reduced in the order's tree, then the bias, then
// the conversion to the output's format. Every kernel's result equals this one bit for bit.
//
// A run starts at +0 and adds its terms one by one; partials p, q meet in round(p + q); the bias is
// added last; one conversion follows. Terms are given by a cursor: seek(term), advance() to the
// next term, left(), right(). Where the sum has no products, the left operand is 1 and nothing is
// rounded but the additions.
//
// Events (random.h): 2i the product of term i, 2i+1 its addition, 2T+j the j-th combination, then
// the bias, then the conversion; kahan and neumaier count eight events a term; exact has one.
#pragma once

#include <cstdint>

#include "arith.h"
#include "config.h"
#include "exact.h"
#include "order.h"

namespace fpdet::inline FPDET_TARGET {

/// Folds a schedule over any kind of value: sum_run(run) is the sum of a run, combine(p, q, j) the
/// j-th combination. The tree itself (core.tree) is this fold over symbols.
template <class Value, class SumRun, class Combine>
FPDET_HD Value fold_schedule(const Schedule& schedule, SumRun&& sum_run, Combine&& combine) {
  Value stack[Schedule::kMaxDepth];
  int depth = 0;
  int64_t combinations = 0;
  const int64_t runs = schedule.runs();
  for (int64_t j = 0; j < runs; ++j) {
    stack[depth++] = sum_run(schedule.run(j));
    for (int fold = schedule.folds(j); fold > 0; --fold) {
      --depth;
      stack[depth - 1] = combine(stack[depth - 1], stack[depth], combinations++);
    }
  }
  return stack[0];
}

namespace detail {

/// round(acc + a*b), or round(acc + b) where there is no product.
template <bool Product>
FPDET_HD inline double add_term(const Arith& arith, double acc, double a, double b,
                                RandomBits& random, int64_t term) {
  if constexpr (Product) {
    return arith.accumulate(acc, a, b, random, 2 * term, 2 * term + 1);
  } else {
    return arith.add(acc, b, random, 2 * term + 1);
  }
}

template <bool Product, class Cursor>
FPDET_HD double reduce_tree(const Schedule& schedule, const Arith& arith, Cursor& cursor,
                            RandomBits& random) {
  const auto sum_run = [&](const Run& run) {
    double acc = 0.0;
    int64_t position = run.first;
    int64_t last = -2;
    for (int64_t i = 0; i < run.count; ++i, position += run.stride) {
      const int64_t term = schedule.term(position);
      if (term == last + 1) {
        cursor.advance();
      } else {
        cursor.seek(term);
      }
      last = term;
      acc = add_term<Product>(arith, acc, cursor.left(), cursor.right(), random, term);
    }
    return acc;
  };
  const auto combine = [&](double p, double q, int64_t j) {
    return arith.add(p, q, random, 2 * schedule.terms() + j);
  };
  return schedule.runs() == 0 ? 0.0 : fold_schedule<double>(schedule, sum_run, combine);
}

/// Kahan (1965) and Neumaier (1974), each operation rounded; event 8i+k is operation k of term i.
template <bool Product, class Cursor>
FPDET_HD double reduce_compensated(OrderKind kind, int64_t terms, const Arith& arith,
                                   Cursor& cursor, RandomBits& random) {
  double s = 0.0;
  double c = 0.0;
  for (int64_t i = 0; i < terms; ++i) {
    i == 0 ? cursor.seek(0) : cursor.advance();
    const int64_t event = 8 * i;
    const double t =
        Product ? arith.mul(cursor.left(), cursor.right(), random, event) : cursor.right();
    if (kind == OrderKind::Kahan) {
      const double y = arith.add(t, -c, random, event + 1);
      const double u = arith.add(s, y, random, event + 2);
      const double d = arith.add(u, -s, random, event + 3);
      c = arith.add(d, -y, random, event + 4);
      s = u;
    } else {
      const double u = arith.add(s, t, random, event + 1);
      const bool s_is_larger = magnitude_bits(s) >= magnitude_bits(t);
      const double d = arith.add(s_is_larger ? s : t, -u, random, event + 2);
      const double e = arith.add(d, s_is_larger ? t : s, random, event + 3);
      c = arith.add(c, e, random, event + 4);
      s = u;
    }
  }
  return kind == OrderKind::Neumaier ? arith.add(s, c, random, 8 * terms) : s;
}

template <bool Product, class Cursor>
FPDET_HD double reduce_exact(int64_t terms, const double* bias, const Format& output,
                             const Arithmetic& arithmetic, Cursor& cursor, RandomBits& random,
                             ExactSum& sum) {
  if (terms == 0 && bias == nullptr) return 0.0;
  sum.clear();
  for (int64_t i = 0; i < terms; ++i) {
    i == 0 ? cursor.seek(0) : cursor.advance();
    if constexpr (Product) {
      sum.add_product(cursor.left(), cursor.right());
    } else {
      sum.add(cursor.right());
    }
  }
  if (bias != nullptr) sum.add(*bias);
  return sum.round(output, arithmetic, random, 2 * terms + 1);
}

}  // namespace detail

/// One output element, as a member of `output`. `bias` is null where there is none; `sum` is
/// scratch that only order exact uses.
template <bool Product, class Cursor>
FPDET_HD double reduce(const Order& order, const Schedule& schedule, const Arith& arith,
                       Cursor& cursor, RandomBits& random, const double* bias, const Format& output,
                       ExactSum& sum) {
  const int64_t terms = schedule.terms();
  if (order.exact()) {
    return detail::reduce_exact<Product>(terms, bias, output, arith.arithmetic(), cursor, random,
                                         sum);
  }
  double acc;
  int64_t event;
  if (order.compensated()) {
    acc = detail::reduce_compensated<Product>(order.kind, terms, arith, cursor, random);
    event = 8 * terms + 1;
  } else {
    acc = detail::reduce_tree<Product>(schedule, arith, cursor, random);
    event = 2 * terms + schedule.combinations();
  }
  if (bias != nullptr) acc = arith.add(acc, *bias, random, event);
  return arith.round_to(acc, output, random, event + 1);
}

}  // namespace fpdet::inline FPDET_TARGET
