// SPDX-License-Identifier: MIT
// One rounded operation an element.
#pragma once

#include "../../core/environment.h"
#include "binary_row.h"
#include "elementwise_task.h"
#include "hardware_ops.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Vectors of one operand: of a tensor's row, or the same number in every lane.
template <class T, class S>
class BinaryReader {
 public:
  using Value = typename HardwareOps<T>::Value;
  static constexpr int N = kFull<T>;

  explicit BinaryReader(const cpu::BinarySource& from) : data_(static_cast<const S*>(from.data)) {
    if (data_ != nullptr && from.column != 0) return;
    if (data_ == nullptr) {
      number_ = broadcast(static_cast<T>(from.number));
    } else {
      Edge<S, N> one(data_, 1);
      number_ = broadcast(load_values<T, N>(one.data())[0]);
      data_ = nullptr;
    }
  }

  FPDET_INLINE Value full(int64_t i) const {
    return data_ == nullptr ? number_ : load_values<T, N>(data_ + i);
  }
  FPDET_INLINE Value partly(int64_t i, int64_t count) const {
    if (data_ == nullptr) return number_;
    Edge<S, N> edge(data_ + i, count);
    return load_values<T, N>(edge.data());
  }

 private:
  const S* data_;
  Value number_{};
};

template <BinaryOperation O, class Ops, class Value>
FPDET_INLINE Value apply(const Ops& ops, Value x, Value y) {
  if constexpr (O == BinaryOperation::Multiply) return ops.mul(x, y, 0);
  if constexpr (O == BinaryOperation::Divide) return ops.div(x, y, 0);
  if constexpr (O == BinaryOperation::Subtract) return ops.add(x, ops.negate(y));
  return ops.add(x, y);
}

template <BinaryOperation O, class T, class S>
[[gnu::noinline]] void binary_run(const BinaryTask& task, const cpu::BinaryRow* rows,
                                  int64_t count) {
  constexpr int N = kFull<T>;
  const HardwareOps<T> ops(task.arithmetic, task.conversion);
  for (const cpu::BinaryRow* row = rows; row != rows + count; ++row) {
    const BinaryReader<T, S> a(row->a), b(row->b);
    S* out = static_cast<S*>(row->out);
    for_vectors<N>(
        task.stream, out, row->begin, row->end,
        [&]<bool Stream>(int64_t i) {
          ops.template store<Stream>(out + i, apply<O>(ops, a.full(i), b.full(i)));
        },
        [&](int64_t i, int64_t n) {
          Edge<S, N> edge(out + i, 0);
          ops.template store<false>(edge.data(), apply<O>(ops, a.partly(i, n), b.partly(i, n)));
          edge.store(out + i, n);
        });
  }
}

/// f of the operation as a constant.
template <class F>
FPDET_INLINE void with_operation(BinaryOperation operation, F&& f) {
  switch (operation) {
    case BinaryOperation::Subtract:
      return f.template operator()<BinaryOperation::Subtract>();
    case BinaryOperation::Multiply:
      return f.template operator()<BinaryOperation::Multiply>();
    case BinaryOperation::Divide:
      return f.template operator()<BinaryOperation::Divide>();
    default:
      return f.template operator()<BinaryOperation::Add>();
  }
}

inline void run_binary(const BinaryTask& task, const cpu::BinaryRow* rows, int64_t count) {
  const EnvironmentGuard guard(task.arithmetic.rounding);
  with_hardware_types(task, [&]<class T, class S>(T, S) {
    with_operation(task.operation,
                   [&]<BinaryOperation O>() { binary_run<O, T, S>(task, rows, count); });
  });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
