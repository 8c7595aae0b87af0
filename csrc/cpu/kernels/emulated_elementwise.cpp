// SPDX-License-Identifier: MIT
// Blocks of elements are widened to float64, worked on and narrowed again: the loops over the
// arithmetic know nothing of the element type, and the other way round.
#include "emulated_elementwise.h"

#include "../../core/environment.h"
#include "conversion.h"
#include "emulated_ops.h"
#include "random_lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

constexpr int kBlock = 128;  // elements: three arrays of them lie in the first cache
static_assert(kBlock % kRandomLanes == 0);

struct alignas(64) Block {
  double x[kBlock];
};

int64_t whole_vectors(int64_t count) { return (count + kDoubleLanes - 1) & -kDoubleLanes; }

/// Lanes beyond `count`, up to a whole vector, are zero.
template <class S>
[[gnu::noinline]] void widen_block(const S* p, int64_t count, Block& to) {
  int64_t i = 0;
  const auto widen_vector = [&](const S* from) {
    const Doubles x = load_values<double, kDoubleLanes>(from);
    std::memcpy(to.x + i, &x, sizeof x);
  };
  for (; i + kDoubleLanes <= count; i += kDoubleLanes) widen_vector(p + i);
  if (i < count) {
    Edge<S, kDoubleLanes> edge(p + i, count - i);
    widen_vector(edge.data());
  }
}

template <class S>
[[gnu::noinline]] void narrow_block(const Block& from, int64_t count, S* p) {
  int64_t i = 0;
  const auto narrow_vector = [&](S* to) {
    put_members<false, kDoubleLanes>(to, load_vector<Doubles>(from.x + i));
  };
  for (; i + kDoubleLanes <= count; i += kDoubleLanes) narrow_vector(p + i);
  if (i < count) {
    Edge<S, kDoubleLanes> edge(p + i, count - i);
    narrow_vector(edge.data());
    edge.store(p + i, count - i);
  }
}

template <class F>
void with_narrow_scalar(Scalar scalar, F&& f) {
  with_scalar(scalar, [&]<class S>(S) {
    if constexpr (!__is_same(S, double)) f(S{});
  });
}

/// `count` elements of p, from the first on.
void widen_block(Scalar scalar, const void* p, int64_t first, int64_t count, Block& to) {
  with_narrow_scalar(scalar,
                     [&]<class S>(S) { widen_block(static_cast<const S*>(p) + first, count, to); });
}
void narrow_block(Scalar scalar, const Block& from, int64_t first, int64_t count, void* p) {
  with_narrow_scalar(scalar,
                     [&]<class S>(S) { narrow_block(from, count, static_cast<S*>(p) + first); });
}

/// What the vectors of a block need besides their operands.
struct Surroundings {
  RandomEvents random;
  Converter<double> convert;
  bool converts;

  FPDET_INLINE Doubles stored(Doubles x, int64_t event) const {
    return converts ? convert(x, random.at(event).v) : x;
  }
};

/// step(place) for the vectors of a block of elements that begins at `first`.
template <class Step>
FPDET_INLINE void for_runs(RandomEvents& random, int64_t first, int64_t count, const Step& step) {
  const int64_t end = whole_vectors(count);
  for (int64_t run = 0; run < end; run += kRandomLanes) {
    random.enter(first + run);
    for (int v = 0; v < kChains && run + v * kDoubleLanes < end; ++v) {
      random.choose(v);
      step(run + v * kDoubleLanes);
    }
  }
}

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

/// Random bits of the events, if the rounding is one that draws.
RandomEvents random_of(const Arithmetic& arithmetic, const Source& source, uint32_t events) {
  return {source, arithmetic.stochastic, arithmetic.rounding == Rounding::Stochastic ? events : 0};
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
