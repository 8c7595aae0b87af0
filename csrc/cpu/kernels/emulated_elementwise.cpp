// SPDX-License-Identifier: MIT
#include "emulated_elementwise.h"

#include "../../core/environment.h"
#include "emulated_blocks.h"
#include "emulated_ops.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

/// a = a op b.
template <class Ops>
[[gnu::noinline]] void binary_block(const Ops& given, BinaryOperation operation, Surroundings& at,
                                    int64_t first, int64_t count, Block& a, const Block& b) {
  const Ops ops = given;
  for_runs(at.random, first, count, [&](int64_t i) {
    const Doubles x = load_vector<Doubles>(a.x + i), y = load_vector<Doubles>(b.x + i);
    Doubles result;
    if (operation == BinaryOperation::Multiply) {
      result = ops.mul(x, y, 0, at.random);
    } else if (operation == BinaryOperation::Divide) {
      result = ops.div(x, y, 0, at.random);
    } else {
      result = ops.add(x, operation == BinaryOperation::Subtract ? -y : y, 0, at.random);
    }
    const Doubles stored = at.stored(result, 1);
    std::memcpy(a.x + i, &stored, sizeof stored);
  });
}

/// Elements of a binary operation's operand.
void read_block(Scalar scalar, const cpu::BinarySource& from, int64_t first, int64_t count,
                Block& to) {
  if (from.data != nullptr && from.column != 0) {
    return widen_block(scalar, from.data, first, count, to);
  }
  double number = from.number;
  if (from.data != nullptr) {
    with_narrow_scalar(scalar,
                       [&]<class S>(S) { number = widen(*static_cast<const S*>(from.data)); });
  }
  for (double& x : to.x) x = number;
}

/// The operations of core's SGD step.
template <class Ops>
struct StepOps {
  const Ops& ops;
  RandomEvents& random;

  FPDET_INLINE Doubles mul(Doubles c, Doubles y, int64_t event) const {
    return ops.mul(c, y, event, random);
  }
  FPDET_INLINE Doubles div(Doubles y, Doubles c, int64_t event) const {
    return ops.div(y, c, event, random);
  }
  FPDET_INLINE Doubles negate(Doubles y) const { return -y; }
  FPDET_INLINE Doubles multiply_add(Doubles c, Doubles y, Doubles x, int64_t product_event,
                                    int64_t) const {
    return ops.accumulate(x, c, y, product_event / 2, random);
  }
};

template <class Ops>
[[gnu::noinline]] void sgd_block(const Ops& given, const SgdCoefficients& coefficients,
                                 Surroundings& at, int64_t first, int64_t count, Block& parameter,
                                 const Block& gradient, Block& buffer) {
  const Ops ops = given;
  const auto k = coefficients.convert([](double c) { return broadcast<double>(c); });
  const StepOps<Ops> step_ops{ops, at.random};
  for_runs(at.random, first, count, [&](int64_t i) {
    const SgdResult<Doubles> result =
        sgd_element(k, step_ops, load_vector<Doubles>(parameter.x + i),
                    load_vector<Doubles>(gradient.x + i), load_vector<Doubles>(buffer.x + i));
    const Doubles p = at.stored(result.parameter, kSgdParameterEvent);
    std::memcpy(parameter.x + i, &p, sizeof p);
    if (k.has_momentum) {
      const Doubles b = at.stored(result.buffer, kSgdBufferEvent);
      std::memcpy(buffer.x + i, &b, sizeof b);
    }
  });
}

/// The events at which core's SGD step draws.
uint32_t sgd_events(const SgdCoefficients& k, bool fused, bool converts) {
  uint32_t events = 0;
  const auto multiply_add = [&](int operation) { events |= (fused ? 2u : 3u) << (2 * operation); };
  if (k.decays) multiply_add(0);
  if (k.has_momentum && !k.first_step) {
    events |= 1u << 3;
    multiply_add(2);
  }
  if (k.has_momentum && k.nesterov) multiply_add(3);
  if (k.rescales) events |= 1u << 9;
  multiply_add(5);
  if (converts) events |= 1u << kSgdParameterEvent;
  if (converts && k.has_momentum) events |= 1u << kSgdBufferEvent;
  return events;
}

}  // namespace

void run_emulated_binary(const BinaryTask& task, const cpu::BinaryRow* rows, int64_t count) {
  with_emulated_ops(task.arithmetic, [&]<class Ops>(const Ops& ops) {
    const EnvironmentGuard guard(Ops::kAmbient);
    Surroundings at{random_of(task.arithmetic, task.source, task.converts ? 3 : 1),
                    Converter<double>(task.conversion), task.converts};
    Block a, b;
    for (const cpu::BinaryRow* row = rows; row != rows + count; ++row) {
      for (int64_t i = row->begin; i < row->end; i += kBlock) {
        const int64_t n = row->end - i < kBlock ? row->end - i : kBlock;
        read_block(task.scalar, row->a, i, n, a);
        read_block(task.scalar, row->b, i, n, b);
        binary_block(ops, task.operation, at, row->first + i, n, a, b);
        narrow_block(task.scalar, a, i, n, row->out);
      }
    }
  });
}

void run_emulated_sgd(const SgdTask& task, const SgdPointers& tensor, int64_t begin, int64_t end) {
  const SgdCoefficients& k = task.coefficients;
  Source source = task.source;
  source.first_sample = tensor.number;
  source.per_sample = tensor.count;
  with_emulated_ops(task.arithmetic, [&]<class Ops>(const Ops& ops) {
    const EnvironmentGuard guard(Ops::kAmbient);
    Surroundings at{
        random_of(task.arithmetic, source, sgd_events(k, task.arithmetic.fused, task.converts)),
        Converter<double>(task.conversion), task.converts};
    Block parameter, gradient, buffer{};
    for (int64_t i = begin; i < end; i += kBlock) {
      const int64_t count = end - i < kBlock ? end - i : kBlock;
      widen_block(task.scalar, tensor.parameter, i, count, parameter);
      widen_block(task.scalar, tensor.gradient, i, count, gradient);
      if (k.has_momentum && !k.first_step) {
        widen_block(task.scalar, tensor.buffer, i, count, buffer);
      }
      sgd_block(ops, k, at, i, count, parameter, gradient, buffer);
      narrow_block(task.scalar, parameter, i, count, tensor.parameter);
      if (k.has_momentum) narrow_block(task.scalar, buffer, i, count, tensor.buffer);
    }
  });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
