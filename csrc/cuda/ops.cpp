// SPDX-License-Identifier: MIT
#include "ops.h"

#include "elementwise.h"
#include "sgd.h"
#include "slow_contraction.h"

namespace fpdet::cuda {

bool contraction_has_kernel(const ContractionCall&) { return false; }
bool sgd_has_kernel(const SgdCall& call) { return sgd_on_hardware(call); }

void contraction(const ContractionCall& call, const Surroundings& surroundings) {
  Machine machine(surroundings);
  for (size_t i = 0; i <= call.rest.size(); ++i) slow_contraction(part_of(call, i), machine);
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
