// SPDX-License-Identifier: MIT
#include "exact.h"
#include "machine.cuh"

FPDET_LAUNCHES(fpdet::cuda::ObserveSegments)
FPDET_LAUNCHES(fpdet::cuda::JoinSegments)
FPDET_LAUNCHES(fpdet::cuda::Settle)
FPDET_LAUNCHES(fpdet::cuda::ClearCount)
FPDET_LAUNCHES(fpdet::cuda::TileKernel<fpdet::cuda::TileShapes<double>::Large, float, double,
                                       fpdet::Rounding::NearestEven, true>)
FPDET_LAUNCHES(fpdet::cuda::TileKernel<fpdet::cuda::TileShapes<double>::Small, float, double,
                                       fpdet::Rounding::NearestEven, true>)
