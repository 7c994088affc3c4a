// dynamic shared: gemm_128x128_requantize 65536
// dynamic shared: gemm_64x128_requantize 49152
// dynamic shared: gemm_64x64_requantize 40960
// dynamic shared: gemm_32x64_requantize 36864
#include "gemm.cuh"
GEMM_TILES(REQUANTIZE, requantize)
