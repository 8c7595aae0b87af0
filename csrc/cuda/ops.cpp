// SPDX-License-Identifier: MIT
#include "ops.h"

#include "adam.h"
#include "contraction_steps.h"
#include "elementwise.h"
#include "gather_sum.h"
#include "random_words.h"
#include "sgd.h"
#include "unary.h"

namespace fpdet::cuda {

bool contraction_has_kernel(const ContractionCall& call) { return fast_contraction_covers(call); }
bool sgd_has_kernel(const SgdCall& call) { return sgd_on_hardware(call); }

void contraction(const ContractionCall& call, const Surroundings& surroundings) {
  Machine machine(surroundings);
  any_contraction(call, machine);
}

void round(const RoundCall& call, const Surroundings& surroundings) {
  Machine machine(surroundings);
  round_elements(call, machine);
}

void binary(const BinaryCall& call, const Surroundings& surroundings) {
  Machine machine(surroundings);
  binary_elements(call, machine);
}

void unary(const UnaryCall& call, const Surroundings& surroundings) {
  Machine machine(surroundings);
  unary_elements(call, machine);
}

void gather_sum(const GatherSumCall& call, const Surroundings& surroundings) {
  Machine machine(surroundings);
  gather_sums(call, machine);
}

void random_words(const RandomWordsCall& call, const Surroundings& surroundings) {
  Machine machine(surroundings);
  random_words(call, machine);
}

void sgd(const SgdCall& call, const Surroundings& surroundings) {
  Machine machine(surroundings);
  sgd(call, machine, sgd_on_hardware(call));
}

void adam(const AdamCall& call, const Surroundings& surroundings) {
  Machine machine(surroundings);
  adam_elements(call, machine);
}

}  // namespace fpdet::cuda
