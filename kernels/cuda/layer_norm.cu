// Layer norm: (M, C) f16 to (M, C) i8, one warp a row.
//
// Bytes: 3 M C. Operations: about 30 a element in f32, no products on Tensor Cores. Orin Nano Super, ViT-B/16
// at batch 1 (197 x 768): 454 kB, from L2; two passes over registers, 24 shuffles a row: about 3 us, of which
// 2 are the launch.
#include "norm.cuh"

struct LayerNormParams {
    const u16 *input;  // (M, C) f16
    const float *gain; // (C)
    const float *bias; // (C)
    i8 *output;        // (M, C)
    u32 rows;          // M
    u32 width;         // C
    float epsilon;
    u32 padding;
};

constexpr u32 THREADS = 128;

extern "C" __global__ void __launch_bounds__(THREADS) layer_norm(PARAMS(LayerNormParams) p) {
    u32 at = blockIdx.x * (THREADS / WARP) + warp_id();
    if (at >= p.rows) return;
    Row row;
    row.load(p.input + (u64)at * p.width, p.width);
    normalize(row, p.width, p.epsilon, p.gain, p.bias, p.output + (u64)at * p.width);
}
