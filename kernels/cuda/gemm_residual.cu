#include "gemm.cuh"
GEMM_TILES(RESIDUAL, residual)
