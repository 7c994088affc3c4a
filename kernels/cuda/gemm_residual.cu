// Linear layers that are added to the residual stream: projection, and the MLP's second. (M, K) i8 times (N, K) i8
// transposed, f16(residual + acc scale[n] + bias[n]) in place. How: gemm.cuh.
//
// Bytes: (M + N) K read, 2 M N read and written. Orin Nano Super, ViT-B/16 at batch 1, 197 x 768 x 3072:
// 0.46 GMAC, 29 us of Tensor Cores and 30 us of weights; 197 x 768 x 768: 7 us and 7 us.
//
// dynamic shared: gemm_128x128_residual 65544
// dynamic shared: gemm_64x128_residual 49160
// dynamic shared: gemm_64x64_residual 32776
// dynamic shared: gemm_32x64_residual 36872
#include "gemm.cuh"
GEMM_TILES(RESIDUAL, residual)
