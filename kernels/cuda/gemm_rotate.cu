// The linear layer before attention of a model with rotary positions: query, key and value. (M, K) i8 times (N, K) i8
// transposed; pairs of neighbouring columns of queries and keys turned by their token's angles, to (M, N) i8. How:
// gemm.cuh.
//
// Bytes: (M + N) K read, M N written, and 4 D of angles a row, which stay in L2. Orin Nano Super, ViT-B/16 at batch 1,
// 197 x 2304 x 768: 0.35 GMAC, 22 us of Tensor Cores and 22 us of weights.
//
// dynamic shared: gemm_128x128_rotate 65544
// dynamic shared: gemm_64x128_rotate 49160
// dynamic shared: gemm_64x64_rotate 32776
// dynamic shared: gemm_32x64_rotate 36872
#include "gemm.cuh"
GEMM_TILES(ROTATE, rotate)
