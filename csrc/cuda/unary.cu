// SPDX-License-Identifier: MIT
#include "machine.cuh"
#include "unary.h"

#define FPDET_ROW(enumerator, word, stem, code) \
  FPDET_LAUNCHES(fpdet::cuda::UnaryElements<fpdet::Function::enumerator>)
FPDET_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
