// SPDX-License-Identifier: MIT
#include "adam.h"
#include "machine.cuh"

FPDET_LAUNCHES(fpdet::cuda::AdamElements)
