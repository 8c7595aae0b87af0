// SPDX-License-Identifier: MIT
// Declared apart from method.h, which all methods include, for no other needs it.
#pragma once

#include "method.h"

namespace fpdet::inline FPDET_TARGET::kernels {

extern const Method kExactGroups;  ///< order exact: group_slabs in float64, then as kExact

}  // namespace fpdet::inline FPDET_TARGET::kernels
