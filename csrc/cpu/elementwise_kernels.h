// SPDX-License-Identifier: MIT
// What the elementwise kernels have in common: which arithmetic they cover, and how they are told.
#pragma once

#include "../calls/random_of.h"
#include "../core/element.h"
#include "contraction.h"
#include "dispatch.h"
#include "kernels/elementwise_task.h"

namespace fpdet::cpu {

/// Hardware roundings of a float32 or float64 accumulator that the operands fit into.
inline bool hardware_covers(const Arithmetic& arithmetic, Scalar scalar) {
  return is_hardware(arithmetic.rounding) &&
         (arithmetic.format == kFloat64 ||
          (arithmetic.format == kFloat32 && scalar != Scalar::Float64));
}
/// Everything else where float32 holds operands and results, but bits that hang on operands.
inline bool emulation_covers(const Arithmetic& arithmetic, Scalar scalar) {
  return scalar != Scalar::Float64 && embeds(arithmetic.format, kFloat32) &&
         !(arithmetic.rounding == Rounding::Stochastic && arithmetic.stochastic.keyed_by_operands);
}
inline bool kernels_cover(const Arithmetic& arithmetic, Scalar scalar) {
  return has_kernels() &&
         (hardware_covers(arithmetic, scalar) || emulation_covers(arithmetic, scalar));
}

/// Of a call that counts samples.
inline kernels::Source source_of(const Draw& draw, int64_t per_sample) {
  return {draw.seed, draw.counter, draw.pass, 0, first_position(draw, per_sample)};
}
/// Of a call on many tensors, which set number and first position.
inline kernels::Source source_of(const Draw& draw) {
  return {draw.seed, draw.counter, draw.pass, 0, 0};
}

inline kernels::Conversion conversion_to(Scalar scalar, const Arithmetic& arithmetic) {
  const Format own = format_of(scalar);
  kernels::Conversion conversion;
  if (embeds(own, kFloat32))
    conversion.format32 = {own, arithmetic.rounding, arithmetic.stochastic};
  conversion.format64 = {own, arithmetic.rounding, arithmetic.stochastic};
  return conversion;
}

}  // namespace fpdet::cpu
