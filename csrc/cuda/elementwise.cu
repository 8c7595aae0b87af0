// SPDX-License-Identifier: MIT
#include "elementwise.h"
#include "machine.cuh"
#include "random_words.h"
#include "sgd.h"

FPDET_LAUNCHES(fpdet::cuda::RoundElements)
FPDET_LAUNCHES(fpdet::cuda::BinaryElements)
FPDET_LAUNCHES(fpdet::cuda::RandomWords)
FPDET_LAUNCHES(fpdet::cuda::SgdAny)
FPDET_LAUNCHES(fpdet::cuda::SgdHardware<double, double>)
FPDET_LAUNCHES(fpdet::cuda::SgdHardware<float, float>)
FPDET_LAUNCHES(fpdet::cuda::SgdHardware<fpdet::BFloat16, float>)
FPDET_LAUNCHES(fpdet::cuda::SgdHardware<fpdet::Float16, float>)
