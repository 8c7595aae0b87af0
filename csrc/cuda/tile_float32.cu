// SPDX-License-Identifier: MIT
#include "machine.cuh"
#include "tile.h"

#define FPDET_TILES(rounding)                                                                 \
  FPDET_LAUNCHES(fpdet::cuda::TileKernel<fpdet::cuda::TileShapes<float>::Large, float, float, \
                                         fpdet::Rounding::rounding, true>)                    \
  FPDET_LAUNCHES(fpdet::cuda::TileKernel<fpdet::cuda::TileShapes<float>::Small, float, float, \
                                         fpdet::Rounding::rounding, true>)                    \
  FPDET_LAUNCHES(fpdet::cuda::TileKernel<fpdet::cuda::TileShapes<float>::Small, float, float, \
                                         fpdet::Rounding::rounding, false>)                   \
  FPDET_LAUNCHES(fpdet::cuda::TileKernel<fpdet::cuda::TileShapes<float>::Pairs, float, float, \
                                         fpdet::Rounding::rounding, true>)

FPDET_TILES(NearestEven)
FPDET_TILES(TowardZero)
FPDET_TILES(Upward)
FPDET_TILES(Downward)
