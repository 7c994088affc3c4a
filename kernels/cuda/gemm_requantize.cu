// Linear layers whose output is quantized: query, key and value. (M, K) i8 times (N, K) i8 transposed to
// (M, N) i8, sat8(acc scale[n] + bias[n]). How: gemm.cuh.
//
// Bytes: (M + N) K read, M N written. Orin Nano Super, ViT-B/16 at batch 1, 197 x 2304 x 768: 0.35 GMAC, 22 us of
// Tensor Cores and 22 us of weights.
//
// dynamic shared: gemm_128x128_requantize 65544
// dynamic shared: gemm_64x128_requantize 49160
// dynamic shared: gemm_64x64_requantize 32776
// dynamic shared: gemm_32x64_requantize 36872
#include "gemm.cuh"
GEMM_TILES(REQUANTIZE, requantize)
