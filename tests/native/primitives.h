// SPDX-License-Identifier: MIT
// Sums and products of matrices as contractions: what programs that compare ways to compute them
// share.
#pragma once

#include <cstdint>
#include <vector>

#include "core/matmul.h"
#include "core/sum.h"

namespace native {

using namespace fpdet;

/// A contraction, and how many elements its operands, bias and result have.
struct Primitive {
  const char* name;
  Contraction problem;
  int64_t left, right, bias;
};

/// x[4][19][37] summed over some of its dimensions: plainly, times a vector, times another tensor.
inline std::vector<Primitive> sums() {
  constexpr int64_t kN = 4, kC = 19, kW = 37, kAll = kN * kC * kW;
  const Weights along{{0, 0, 0, 1}};
  std::vector<Primitive> cases;
  const auto add = [&](const char* name, Digits kept, Digits reduced, SumOperand x,
                       int64_t factor) {
    SumShape s{kept, reduced, x, factor > 0 ? &along : nullptr, false};
    cases.push_back({name, sum_contraction(s), factor > 0 ? factor : 1, kAll, 0});
  };
  const SumOperand last{{{kC * kW, 0, 0, kW}}, along}, first{along, {{0, 0, 0, kC * kW}}};
  const SumOperand middle{{{0, 0, 0, kW}}, {{0, 0, kC * kW, 1}}};
  add("last", {{kN, 1, 1, kC}}, {{1, 1, 1, kW}}, last, 0);
  add("last_times_vector", {{kN, 1, 1, kC}}, {{1, 1, 1, kW}}, last, kW);
  add("first", {{1, 1, 1, kC * kW}}, {{1, 1, 1, kN}}, first, 0);
  add("first_times_vector", {{1, 1, 1, kC * kW}}, {{1, 1, 1, kN}}, first, kN);
  add("all_but_middle", {{1, 1, 1, kC}}, {{1, 1, kN, kW}}, middle, 0);
  add("all", {{1, 1, 1, 1}}, {{1, 1, 1, kAll}}, {{}, along}, 0);
  const auto products = [&](const char* name, int64_t outputs, int64_t samples, int64_t step,
                            Digits reduced, Weights terms) {
    const ProductSumShape s{outputs, samples, step, step, reduced, terms, terms};
    cases.push_back({name, product_sum_contraction(s), kAll, kAll, 0});
  };
  products("products_of_lines", kN * kC, kN, kW, {{1, 1, 1, kW}}, along);
  products("products_of_columns", kC * kW, 1, 1, {{1, 1, 1, kN}}, {{0, 0, 0, kC * kW}});
  products("products_of_channels", kC, kC, kW, {{1, 1, kN, kW}}, {{0, 0, kC * kW, 1}});
  return cases;
}

inline std::vector<Primitive> matmuls() {
  const MatmulShape s{3, 7, 21, 37};
  const int64_t a = s.batches * s.lines * s.terms, b = s.batches * s.terms * s.columns;
  const MatmulStrides lines{s.lines * s.terms, s.terms, 1};
  return {{"matmul", matmul_contraction(s, lines, {s.terms * s.columns, s.columns, 1}), b, a,
           s.batches * s.columns},
          {"matmul_transposed", matmul_contraction(s, lines, {s.terms * s.columns, 1, s.terms}), b,
           a, 0}};
}

}  // namespace native
