// SPDX-License-Identifier: MIT
// The way of an op that is a contraction (core/contraction.h) to its kernels.
#pragma once

#include "check.h"
#include "parallel.h"
#include "shape.h"

namespace fpdet::torch_ops {

/// Sets everything but the pointers. `like`: a tensor of the device that the call runs on.
cpu::ContractionCall call_for(const Contraction& problem, const ParsedArithmetic& arithmetic,
                              const std::optional<Tensor>& draw, int64_t pass_tag,
                              int64_t batch_offset, Scalar scalar, const Tensor* like = nullptr);

/// Where `result`, which the call writes, lies; by fast kernels where they can, the slow path
/// otherwise: equal bits.
void run(const cpu::ContractionCall& call, const Tensor& result);

/// The constant 1 of an element type: the left operand of a sum without products.
const void* one_of(Scalar scalar);

}  // namespace fpdet::torch_ops
