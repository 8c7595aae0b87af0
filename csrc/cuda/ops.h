// SPDX-License-Identifier: MIT
// What csrc/torch calls: the ops on a GPU. They return when everything is launched.
#pragma once

#include "../calls/elementwise.h"
#include "machine.h"

namespace fpdet::cuda {

/// Whether calls of this element type and arithmetic take kernels made for them, whatever their
/// shape; the others take the slow path.
bool contraction_has_kernel(const ContractionCall& call);
bool sgd_has_kernel(const SgdCall& call);

void contraction(const ContractionCall& call, const Surroundings& surroundings);
void round(const RoundCall& call, const Surroundings& surroundings);
void add(const AddCall& call, const Surroundings& surroundings);
void sgd(const SgdCall& call, const Surroundings& surroundings);

}  // namespace fpdet::cuda
