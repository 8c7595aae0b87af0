// SPDX-License-Identifier: MIT
#include "machine.cuh"
#include "slow_contraction.h"

FPDET_LAUNCHES(fpdet::cuda::SlowContraction<true>)
FPDET_LAUNCHES(fpdet::cuda::SlowContraction<false>)
FPDET_LAUNCHES(fpdet::cuda::FillKeys)
FPDET_LAUNCHES(fpdet::cuda::SortStep)
FPDET_LAUNCHES(fpdet::cuda::TakeSequence)
