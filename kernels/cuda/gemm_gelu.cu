// dynamic shared: gemm_128x128_gelu 65536
// dynamic shared: gemm_64x128_gelu 49152
// dynamic shared: gemm_64x64_gelu 40960
// dynamic shared: gemm_32x64_gelu 36864
#include "gemm.cuh"
GEMM_TILES(GELU, gelu)
