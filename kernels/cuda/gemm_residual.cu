// dynamic shared: gemm_128x128_residual 65536
// dynamic shared: gemm_64x128_residual 49152
// dynamic shared: gemm_64x64_residual 40960
// dynamic shared: gemm_32x64_residual 36864
#include "gemm.cuh"
GEMM_TILES(RESIDUAL, residual)
