// Rotary positions: cosine and sine of the angle by which each pair of channels of each token is turned, (B, T, R, D)
// f32, for `gemm_*_rotate`. Positions come from merging, or, before any, from the grid of patches. The prefix is not
// turned. One thread a pair.
//
// Bytes: 4 R D written a token, 6 R D of frequencies from L1. Operations: 17 f32 a pair. Orin Nano Super, 197 tokens
// of 64 channels: 50 kB, 3 us, of which 2 are the launch.
#include "numerics.cuh"

struct RotaryParams {
    const float *positions;   // (B, T, 2) row, column; null: the grid
    const float *frequencies; // (R, D / 2, 3): turns a row, turns a column, turns at (0, 0)
    float *table;             // (B, T, R, D)
    u32 tokens;               // T
    u32 pairs;                // R D / 2
    u32 prefix;               // P
    u32 side;                 // patches of a row of the grid
};

constexpr u32 THREADS = 128;

// Row and column of a token behind the prefix.
DEVICE float2 position(const RotaryParams &p, u32 token) {
    if (p.positions) return ((const float2 *)p.positions)[blockIdx.y * p.tokens + token];
    u32 patch = token - p.prefix;
    return make_float2((float)(patch / p.side), (float)(patch % p.side));
}

extern "C" __global__ void __launch_bounds__(THREADS) rotary(PARAMS(RotaryParams) p) {
    u32 at = blockIdx.x * THREADS + threadIdx.x, token = at / p.pairs, pair = at % p.pairs;
    if (token >= p.tokens) return;
    float2 turned = make_float2(1.0f, 0.0f);
    if (token >= p.prefix) {
        float2 of = position(p, token);
        const float *f = p.frequencies + 3 * pair;
        turned = cos_sin(__fmaf_rn(of.x, f[0], __fmaf_rn(of.y, f[1], f[2])));
    }
    ((float2 *)p.table)[(u64)blockIdx.y * p.tokens * p.pairs + at] = turned;
}
