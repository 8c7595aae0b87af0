// SPDX-License-Identifier: MIT
#include "emulated_elementwise.h"

#include "../../core/environment.h"
#include "emulated_blocks.h"
#include "emulated_ops.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

template <class Ops>
[[gnu::noinline]] void binary_block(const Ops& given, BinaryOperation operation,
                                    const Surroundings& at, int64_t count, const float* a,
                                    const float* b, float* out) {
  const Ops ops = given;
  for (int64_t i = 0; i < count; i += kDoubleLanes) {
    const LaneEvents random(at.random, i);
    const Doubles x = load_doubles(a + i), y = load_doubles(b + i);
    Doubles result;
    if (operation == BinaryOperation::Multiply) {
      result = ops.mul(x, y, 0, random);
    } else if (operation == BinaryOperation::Divide) {
      result = ops.div(x, y, 0, random);
    } else {
      result = ops.add(x, operation == BinaryOperation::Subtract ? -y : y, 0, random);
    }
    store_doubles(out + i, at.stored(result, random, 1));
  }
}

/// Elements of a binary operation's operand.
const float* read_operand(Scalar scalar, const cpu::BinarySource& from, int64_t first,
                          int64_t count, Block& copy) {
  if (from.data != nullptr && from.column != 0) {
    return read_block(scalar, from.data, first, count, copy);
  }
  auto number = static_cast<float>(from.number);
  if (from.data != nullptr) {
    with_narrow_scalar(scalar, [&]<class S>(S) {
      number = static_cast<float>(widen(*static_cast<const S*>(from.data)));
    });
  }
  for (float& x : copy.x) x = number;
  return copy.x;
}

/// The operations of core's SGD step.
template <class Ops, class Random>
struct StepOps {
  const Ops& ops;
  Random& random;

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

using SgdVectors = SgdCoefficientsOf<Doubles>;

template <class Ops>
[[gnu::noinline]] SgdResult<Doubles> sgd_vector(const Ops& ops, const SgdVectors& k,
                                                const LaneEvents& random, Doubles parameter,
                                                Doubles gradient, Doubles buffer) {
  const StepOps<Ops, const LaneEvents> step_ops{ops, random};
  return sgd_element(k, step_ops, parameter, gradient, buffer);
}

/// Plain: of the steps that may be left out, at most weight decay and momentum take place, elements
/// hold the accumulator's values, and attempts are worth it. The loop is shorter for knowing it.
template <bool Plain, class Ops>
[[gnu::noinline]] void sgd_block(const Ops& given, const SgdCoefficients& coefficients,
                                 const Surroundings& at, int64_t count, float* parameter,
                                 const float* gradient, float* buffer) {
  const Ops ops = given;
  SgdVectors k = coefficients.convert([](double c) { return broadcast<double>(c); });
  const SgdVectors again = k;  // for calls: k stays in registers
  const CutWords<Words> cut = as_vectors(given.cut());
  if constexpr (Plain) k.rescales = k.nesterov = k.maximize = k.first_step = false;
  const bool reads_buffer = k.has_momentum && !k.first_step;
  const bool attempts = Plain || given.attempts();
  for (int64_t i = 0; i < count; i += kDoubleLanes) {
    FirstAttempt random(at.random, i, cut);
    const Doubles p = load_doubles(parameter + i), g = load_doubles(gradient + i),
                  b = reads_buffer ? load_doubles(buffer + i) : Doubles{};
    SgdResult<Doubles> result{};
    const StepOps<Ops, FirstAttempt> step_ops{ops, random};
    if (attempts) result = sgd_element(k, step_ops, p, g, b);
    if (__builtin_expect(!attempts || any_doubtful(random.doubtful), 0)) {
      result = sgd_vector(given, again, LaneEvents(at.random, i), p, g, b);
    }
    const auto store = [&](float* to, Doubles value, int64_t event) {
      store_doubles(to + i, Plain ? value : at.stored(value, random, event));
    };
    store(parameter, result.parameter, kSgdParameterEvent);
    if (k.has_momentum) store(buffer, result.buffer, kSgdBufferEvent);
  }
}

template <class Ops>
void sgd_block(const Ops& ops, const SgdCoefficients& k, const Surroundings& at, int64_t count,
               float* parameter, const float* gradient, float* buffer) {
  const bool plain = !k.rescales && !k.nesterov && !k.maximize && !k.first_step && !at.converts;
  if (plain && ops.attempts()) {
    sgd_block<true>(ops, k, at, count, parameter, gradient, buffer);
  } else {
    sgd_block<false>(ops, k, at, count, parameter, gradient, buffer);
  }
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
    Block space[3];
    for (const cpu::BinaryRow* row = rows; row != rows + count; ++row) {
      const int64_t first = row->first;
      for_blocks(at.random, first + row->begin, first + row->end, [&](int64_t number, int64_t n) {
        const int64_t i = number - first;
        const float* a = read_operand(task.scalar, row->a, i, n, space[0]);
        const float* b = read_operand(task.scalar, row->b, i, n, space[1]);
        const WrittenBlock out(task.scalar, row->out, i, n, space[2]);
        binary_block(ops, task.operation, at, n, a, b, out.data());
        out.close();
      });
    }
  });
}

void run_emulated_sgd(const SgdTask& task, const SgdPointers& tensor, int64_t begin, int64_t end) {
  const SgdCoefficients& k = task.coefficients;
  Source source = task.source;
  source.tensor = tensor.number;
  with_emulated_ops(task.arithmetic, [&]<class Ops>(const Ops& ops) {
    const EnvironmentGuard guard(Ops::kAmbient);
    Surroundings at{
        random_of(task.arithmetic, source, sgd_events(k, task.arithmetic.fused, task.converts)),
        Converter<double>(task.conversion), task.converts};
    Block space[3];
    for_blocks(at.random, begin, end, [&](int64_t i, int64_t count) {
      const WrittenBlock parameter(task.scalar, tensor.parameter, i, count, space[0]);
      const WrittenBlock buffer(task.scalar, tensor.buffer, i, count, space[1]);
      float* b = !k.has_momentum ? nullptr : k.first_step ? buffer.data() : buffer.read();
      sgd_block(ops, k, at, count, parameter.read(),
                read_block(task.scalar, tensor.gradient, i, count, space[2]), b);
      parameter.close();
      if (k.has_momentum) buffer.close();
    });
  });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
