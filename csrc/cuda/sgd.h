// SPDX-License-Identifier: MIT
// One SGD step of many tensors in one launch.
#pragma once

#include "outline.h"
// outline.h stands before all of core

#include "../calls/elementwise.h"
#include "../calls/random_of.h"
#include "block.h"
#include "hardware_ops.h"
#include "machine.h"
#include "tensor_table.h"
#include "values.h"

namespace fpdet::cuda {

struct SgdTask {
  Scalar scalar;
  Arithmetic arithmetic;
  Draw draw;
  SgdCoefficients coefficients;
  TensorTable<SgdTensor> tensors;
};

/// Every arithmetic.
struct SgdAny {
  using Task = SgdTask;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 2;
  FPDET_HD static Rounding rounding(const Task& task) { return task.arithmetic.rounding; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    const Arithmetic& arithmetic = task.arithmetic;
    const Arith arith(arithmetic, operands_fit(task.scalar, arithmetic.format));
    const Draw draw = resolved(task.draw);
    const Format own = element_format(task.scalar);
    for_chunks(task.tensors, block, [&](const SgdTensor& t, int64_t begin, int64_t end) {
      const ElementwiseSource source(arithmetic.stochastic, arithmetic.rounding, draw, t.number, 0);
      for (int64_t i = begin + block.thread(); i < end; i += kThreads) {
        ElementwiseBits random = source.of(i);
        const double buffer = t.buffer != nullptr ? load_element(task.scalar, t.buffer, i) : 0.0;
        const SgdResult<double> step =
            sgd_element(task.coefficients, arith, load_element(task.scalar, t.parameter, i),
                        load_element(task.scalar, t.gradient, i), buffer, random);
        store_element(task.scalar, t.parameter, i,
                      arith.round_to(step.parameter, own, random, kSgdParameterEvent));
        if (t.buffer != nullptr) {
          store_element(task.scalar, t.buffer, i,
                        arith.round_to(step.buffer, own, random, kSgdBufferEvent));
        }
      }
    });
  }
};

/// Elements T under a hardware rounding of an accumulator A that holds them, some at a time.
template <class T, class A>
struct SgdHardware {
  using Task = SgdTask;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 2;
  FPDET_HD static Rounding rounding(const Task& task) { return task.arithmetic.rounding; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    with_hardware_rounding(task.arithmetic.rounding, [&]<Rounding R>() {
      if (task.arithmetic.fused) {
        chunks<R, true>(task, block);
      } else {
        chunks<R, false>(task, block);
      }
    });
  }

 private:
  // Conversions to 16 bits are long: fewer at a time, so that the code stays short.
  static constexpr int kPack = sizeof(T) == 2 ? 2 : 16 / sizeof(T);
  struct alignas(kPack * sizeof(T)) Pack {
    T v[kPack];
  };
  FPDET_HD static bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

  template <Rounding R, bool Fused, class Block>
  FPDET_HD static void chunks(const Task& task, Block& block) {
    const auto k = task.coefficients.convert([](double x) { return static_cast<A>(x); });
    const Rounding rounding = task.arithmetic.rounding;
    for_chunks(task.tensors, block, [&](const SgdTensor& t, int64_t begin, int64_t end) {
      auto* parameter = static_cast<T*>(t.parameter);
      const auto* gradient = static_cast<const T*>(t.gradient);
      auto* buffer = static_cast<T*>(t.buffer);
      const auto step = [&](T& p, T g, T& b) {
        HardwareOps<A, R, Fused> ops;
        const SgdResult<A> result =
            sgd_element(k, ops, to_accumulator<A>(p), to_accumulator<A>(g), to_accumulator<A>(b));
        p = to_element<T, R>(result.parameter, rounding);
        b = to_element<T, R>(result.buffer, rounding);
      };
      int64_t rest = begin;
      if (aligned(parameter) && aligned(gradient) && aligned(buffer)) {
        const int64_t packs = (end - begin) / kPack;
        for (int64_t i = block.thread(); i < packs; i += kThreads) {
          const int64_t at = begin / kPack + i;
          Pack p = reinterpret_cast<Pack*>(parameter)[at];
          const Pack g = reinterpret_cast<const Pack*>(gradient)[at];
          Pack b{};
          if (buffer != nullptr) b = reinterpret_cast<Pack*>(buffer)[at];
          FPDET_UNROLL_ALL
          for (int j = 0; j < kPack; ++j) step(p.v[j], g.v[j], b.v[j]);
          reinterpret_cast<Pack*>(parameter)[at] = p;
          if (buffer != nullptr) reinterpret_cast<Pack*>(buffer)[at] = b;
        }
        rest = begin + packs * kPack;
      }
      for (int64_t i = rest + block.thread(); i < end; i += kThreads) {
        T none{};
        step(parameter[i], gradient[i], buffer != nullptr ? buffer[i] : none);
      }
    });
  }
};

template <class Kernel, class Machine>
void sgd_tables(const SgdCall& call, Machine& machine) {
  SgdTask task{call.scalar,
               call.arithmetic,
               call.draw,
               sgd_coefficients(call.scalars, call.arithmetic.format),
               {}};
  launch_tables<Kernel>(task, call.tensors, machine);
}

/// Hardware roundings of float32 (of float64 for its own elements) have kernels of their own.
inline bool sgd_on_hardware(const SgdCall& call) {
  return is_hardware(call.arithmetic.rounding) &&
         (call.scalar == Scalar::Float64 ? is_float64(call.arithmetic.format)
                                         : is_float32(call.arithmetic.format));
}

template <class Machine>
void sgd(const SgdCall& call, Machine& machine, bool hardware) {
  if (!hardware) return sgd_tables<SgdAny>(call, machine);
  switch (call.scalar) {
    case Scalar::Float64:
      return sgd_tables<SgdHardware<double, double>>(call, machine);
    case Scalar::Float32:
      return sgd_tables<SgdHardware<float, float>>(call, machine);
    case Scalar::BFloat16:
      return sgd_tables<SgdHardware<BFloat16, float>>(call, machine);
    default:
      return sgd_tables<SgdHardware<Float16, float>>(call, machine);
  }
}

}  // namespace fpdet::cuda
