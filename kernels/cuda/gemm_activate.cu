// The MLP's first layer: (M, K) i8 times (N, K) i8 transposed, an activation, to (M, N) i8 with a zero point. How:
// gemm.cuh.
//
// Bytes: (M + N) K read, M N written; 28 f32 operations an output. Orin Nano Super, ViT-B/16 at batch 1,
// 197 x 3072 x 768: 0.46 GMAC, 29 us of Tensor Cores, 30 us of weights, 30 us of issue for loop and activation.
//
// dynamic shared: gemm_128x128_activate 65544
// dynamic shared: gemm_64x128_activate 49160
// dynamic shared: gemm_64x64_activate 32776
// dynamic shared: gemm_32x64_activate 36872
#include "gemm.cuh"
GEMM_TILES(ACTIVATE, activate)
