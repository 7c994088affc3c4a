// dynamic shared: gemm_128x128_embed 65536
// dynamic shared: gemm_64x128_embed 49152
// dynamic shared: gemm_64x64_embed 40960
// dynamic shared: gemm_32x64_embed 36864
#include "gemm.cuh"
GEMM_TILES(EMBED, embed)
