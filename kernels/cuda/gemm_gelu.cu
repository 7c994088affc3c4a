#include "gemm.cuh"
GEMM_TILES(GELU, gelu)
