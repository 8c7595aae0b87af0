// SPDX-License-Identifier: MIT
#include "slow_contraction.h"

#include "machine.cuh"

FPDET_LAUNCHES(fpdet::cuda::SlowContraction<true>)
FPDET_LAUNCHES(fpdet::cuda::SlowContraction<false>)
FPDET_LAUNCHES(fpdet::cuda::FillKeys)
FPDET_LAUNCHES(fpdet::cuda::SortStep)
FPDET_LAUNCHES(fpdet::cuda::TakeSequence)
