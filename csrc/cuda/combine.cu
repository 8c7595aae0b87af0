// SPDX-License-Identifier: MIT
#include "combine.h"
#include "machine.cuh"
#include "widen.h"

FPDET_LAUNCHES(fpdet::cuda::CombinePass<float>)
FPDET_LAUNCHES(fpdet::cuda::CombinePass<double>)
FPDET_LAUNCHES(fpdet::cuda::Finish<float>)
FPDET_LAUNCHES(fpdet::cuda::Finish<double>)
FPDET_LAUNCHES(fpdet::cuda::Widen)
