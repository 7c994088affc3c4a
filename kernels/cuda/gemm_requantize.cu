#include "gemm.cuh"
GEMM_TILES(REQUANTIZE, requantize)
