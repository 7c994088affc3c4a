// A gated MLP's first layer: (M, K) i8 times (N, K) i8 transposed; of each pair of columns, the activation of the first
// times the second, to (M, N / 2) i8, or f16 where a norm follows. How: gemm.cuh.
//
// Bytes: (M + N) K read, M N / 2 or M N written; 14 f32 operations a product. Orin Nano Super, a ViT-B with an MLP of
// 2048 at batch 1, 197 x 4096 x 768: 0.62 GMAC, 38 us of Tensor Cores, 40 us of weights.
//
// dynamic shared: gemm_128x128_gate 65544
// dynamic shared: gemm_64x128_gate 49160
// dynamic shared: gemm_64x64_gate 32776
// dynamic shared: gemm_32x64_gate 36872
#include "gemm.cuh"
GEMM_TILES(GATE, gate)
