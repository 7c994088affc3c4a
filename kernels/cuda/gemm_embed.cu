#include "gemm.cuh"
GEMM_TILES(EMBED, embed)
