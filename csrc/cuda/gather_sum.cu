// SPDX-License-Identifier: MIT
#include "gather_sum.h"
#include "machine.cuh"

FPDET_LAUNCHES(fpdet::cuda::GatherKeys)
FPDET_LAUNCHES(fpdet::cuda::RankThings)
FPDET_LAUNCHES(fpdet::cuda::GatherSums<true>)
FPDET_LAUNCHES(fpdet::cuda::GatherSums<false>)
