// Norms of rows: (M, L) f16 to (M, L) i8, or f16 where the residual stream, or another norm, follows. One warp a row.
//
// Bytes: 3 or 4 M L, rows beyond 2048 elements are read twice more, from L2. Operations: about 30 a element in f32, no
// products on Tensor Cores. Orin Nano Super, ViT-B/16 at batch 1 (197 x 768): 454 kB, from L2; two passes over
// registers, 24 shuffles a row: about 3 us, of which 2 are the launch.
#include "norm.cuh"

struct LayerNormParams {
    const u16 *input; // (M, L) f16
    void *output;     // (M, L) i8 or f16
    NormParams norm;
    u32 rows; // M
    u32 padding;
};

constexpr u32 THREADS = 128;

extern "C" __global__ void __launch_bounds__(THREADS) layer_norm(PARAMS(LayerNormParams) p) {
    u32 row = blockIdx.x * (THREADS / WARP) + warp_id();
    if (row >= p.rows) return;
    u64 at = (u64)row * p.norm.width;
    normalize(p.input + at, p.norm, Bytes{(i8 *)p.output + at});
}

extern "C" __global__ void __launch_bounds__(THREADS) layer_norm_half(PARAMS(LayerNormParams) p) {
    u32 row = blockIdx.x * (THREADS / WARP) + warp_id();
    if (row >= p.rows) return;
    u64 at = (u64)row * p.norm.width;
    normalize(p.input + at, p.norm, Halves{(u16 *)p.output + at});
}
