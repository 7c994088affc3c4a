// Patch embedding: patches (B N, K) i8 times (C, K) i8 transposed, plus positions, to the residual stream
// (B, T, C) f16; the rows of the prefix, and a size of 1 for every token. Without positions, prefix and sizes it is a
// linear layer to f16. How: gemm.cuh.
//
// Bytes: (B N + C) K read, 4 T C of positions, 2 B T C written. Orin Nano Super, ViT-B/16 at batch 1,
// 196 x 768 x 768: 0.12 GMAC, 7 us of Tensor Cores, 15 us of weights and positions.
//
// dynamic shared: gemm_128x128_embed 65544
// dynamic shared: gemm_64x128_embed 49160
// dynamic shared: gemm_64x64_embed 32776
// dynamic shared: gemm_32x64_embed 36872
#include "gemm.cuh"
GEMM_TILES(EMBED, embed)
