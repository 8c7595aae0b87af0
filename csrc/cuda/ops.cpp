// SPDX-License-Identifier: MIT
#include "ops.h"

#include "contraction_steps.h"
#include "elementwise.h"
#include "sgd.h"

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

void add(const AddCall& call, const Surroundings& surroundings) {
  Machine machine(surroundings);
  add_elements(call, machine);
}

void sgd(const SgdCall& call, const Surroundings& surroundings) {
  Machine machine(surroundings);
  sgd(call, machine, sgd_on_hardware(call));
}

}  // namespace fpdet::cuda
