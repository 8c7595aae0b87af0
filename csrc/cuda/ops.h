// SPDX-License-Identifier: MIT
// What csrc/torch calls: the ops on a GPU. They return when everything is launched.
#pragma once

#include "../calls/adam.h"
#include "../calls/elementwise.h"
#include "../calls/gather_sum.h"
#include "../calls/random_words.h"
#include "../calls/unary.h"
#include "machine.h"

namespace fpdet::cuda {

/// Whether calls of this element type and arithmetic take kernels made for them, whatever their
/// shape; the others take the slow path.
bool contraction_has_kernel(const ContractionCall& call);
bool sgd_has_kernel(const SgdCall& call);

void contraction(const ContractionCall& call, const Surroundings& surroundings);
void round(const RoundCall& call, const Surroundings& surroundings);
void binary(const BinaryCall& call, const Surroundings& surroundings);
void unary(const UnaryCall& call, const Surroundings& surroundings);
void gather_sum(const GatherSumCall& call, const Surroundings& surroundings);
void random_words(const RandomWordsCall& call, const Surroundings& surroundings);
void sgd(const SgdCall& call, const Surroundings& surroundings);
void adam(const AdamCall& call, const Surroundings& surroundings);

}  // namespace fpdet::cuda
