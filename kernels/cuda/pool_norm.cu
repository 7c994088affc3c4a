// Pooling and the last layer norm: (B, T, C) f16 to (B, C) f16, and normalized to 16 bits in two bytes. One
// block an image.
//
// Bytes: 2 C read for the class token, 2 T C for the mean; 4 C written. Orin Nano Super, ViT-B/16: 3 us, of
// which 2 are the launch; with the mean of 196 tokens, an fma chain a channel, 10 us.
#include "norm.cuh"

struct PoolNormParams {
    const u16 *residual; // (B, T, C) f16
    const u32 *sizes;    // (B, T)
    const float *gain;   // (C)
    const float *bias;   // (C)
    u16 *pooled;         // (B, C) f16
    i8 *high;            // (B, C)
    i8 *low;             // (B, C)
    u32 tokens;          // T
    u32 width;           // C
    u32 class_token;     // 1 if token 0 is a class token, else 0
    u32 mean;            // 1 for the mean weighted by sizes, 0 for row 0
    float epsilon;
    u32 padding;
};

constexpr u32 THREADS = 256;

// The mean over all tokens but the class token, each channel summed in ascending order.
DEVICE u16 weighted_mean(const PoolNormParams &p, const u16 *residual, u32 column) {
    const u32 *sizes = p.sizes + blockIdx.x * p.tokens;
    float sum = 0.0f;
    u32 total = 0;
#pragma unroll 8
    for (u32 token = p.class_token; token < p.tokens; token++) {
        sum = __fmaf_rn((float)sizes[token], half_to_float(residual[(u64)token * p.width + column]), sum);
        total += sizes[token];
    }
    return float_to_half(__fdiv_rn(sum, (float)total));
}

// clamp(rne(y), -32639, 32639) as 256 high + low, both of which fit a byte.
DEVICE i32 wide(float y) {
    float clamped = fminf(fmaxf(y, -32639.0f), 32639.0f);
    return (i32)(float_bits(__fadd_rn(clamped, MAGIC)) - MAGIC_BITS);
}

DEVICE void normalize_wide(const Row &row, const PoolNormParams &p, i8 *high, i8 *low) {
    Values values(row, p.width);
    Normalizer norm(values, p.width, p.epsilon);
#pragma unroll
    for (u32 s = 0; s < ROW_STEPS; s++) {
        u32 column = Row::column(s);
        if (column >= p.width) break;
        float y[LANE_ELEMENTS];
        norm.apply(values.x[s], p.gain, p.bias, column, y);
        i32 q[LANE_ELEMENTS], h[LANE_ELEMENTS];
#pragma unroll
        for (u32 i = 0; i < LANE_ELEMENTS; i++) {
            q[i] = wide(y[i]);
            h[i] = (q[i] + 128) >> 8;
        }
        // The low byte of q is that of q - 256 h.
        *(uint2 *)(high + column) = make_uint2(pack4(h[0], h[1], h[2], h[3]), pack4(h[4], h[5], h[6], h[7]));
        *(uint2 *)(low + column) = make_uint2(pack4(q[0], q[1], q[2], q[3]), pack4(q[4], q[5], q[6], q[7]));
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) pool_norm(PARAMS(PoolNormParams) p) {
    __shared__ __align__(16) u16 pooled[MAX_WIDTH];
    const u16 *residual = p.residual + (u64)blockIdx.x * p.tokens * p.width;
    for (u32 column = threadIdx.x; column < p.width; column += THREADS) {
        u16 x = p.mean ? weighted_mean(p, residual, column) : residual[column];
        pooled[column] = x;
        p.pooled[(u64)blockIdx.x * p.width + column] = x;
    }
    __syncthreads();
    if (warp_id() != 0) return;
    Row row;
    row.load(pooled, p.width);
    normalize_wide(row, p, p.high + (u64)blockIdx.x * p.width, p.low + (u64)blockIdx.x * p.width);
}
