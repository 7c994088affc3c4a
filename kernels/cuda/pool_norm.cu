// Pooling and the last norm: (B, T, C) f16 to (B, pooled) f16, and normalized to 16 bits in two bytes, or to f32. The
// pooled vector is the image's first rows, as they lie, and behind them, or alone, the mean of rows weighted by their
// sizes. It is normalized in parts of L elements, each by itself, or not at all. One block an image, one warp a part.
//
// Bytes: 2 C read for the class token, 2 T C for the mean; 4 C written. Orin Nano Super, ViT-B/16: 3 us, of
// which 2 are the launch; with the mean of 196 tokens, an fma chain a channel, 10 us.
#include "norm.cuh"

struct PoolNormParams {
    const u16 *residual; // (B, T, C) f16
    const u32 *sizes;    // (B, T)
    u16 *pooled;         // (B, pooled) f16
    i8 *high;            // (B, pooled), unless `real`; null if nothing is normalized
    i8 *low;             // (B, pooled), likewise
    float *real;         // (B, pooled), or null
    NormParams norm;     // of parts; L divides `pooled`
    u32 tokens;          // T
    u32 width;           // C
    u32 copied;          // elements of the first rows that are taken over, a multiple of C
    u32 first;           // the first row of the mean
    u32 pooled_width;    // `copied`, or C more for the mean
    u32 padding;
};

constexpr u32 THREADS = 256;
constexpr u32 WARPS = THREADS / WARP;

// The mean over the tokens from `first` on, each channel summed in ascending order.
DEVICE u16 weighted_mean(const PoolNormParams &p, const u16 *residual, u32 column) {
    const u32 *sizes = p.sizes + blockIdx.x * p.tokens;
    float sum = 0.0f;
    u32 total = 0;
#pragma unroll 8
    for (u32 token = p.first; token < p.tokens; token++) {
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

// A normalized row in f32, or in 16 bits as two bytes.
struct RealOrWide {
    float *real;
    i8 *high, *low;

    DEVICE void write(u32 column, const float (&y)[LANE_ELEMENTS]) const {
        if (real) {
            *(float4 *)(real + column) = make_float4(y[0], y[1], y[2], y[3]);
            *(float4 *)(real + column + 4) = make_float4(y[4], y[5], y[6], y[7]);
            return;
        }
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
};

extern "C" __global__ void __launch_bounds__(THREADS) pool_norm(PARAMS(PoolNormParams) p) {
    const u16 *residual = p.residual + (u64)blockIdx.x * p.tokens * p.width;
    u64 image = (u64)blockIdx.x * p.pooled_width;
    for (u32 column = threadIdx.x; column < p.pooled_width; column += THREADS)
        p.pooled[image + column] =
            column < p.copied ? residual[column] : weighted_mean(p, residual, column - p.copied);
    if (!p.real && !p.high) return;
    __shared__ Affine<WIDE> affine;
    bool in_registers = Row<WIDE>::fits(p.norm);
    if (in_registers) affine.start(p.norm);
    // The pooled vector is there, and where they are needed gain and bias.
    affine.finish();
    for (u32 part = warp_id() * p.norm.width; part < p.pooled_width; part += WARPS * p.norm.width) {
        u64 at = image + part;
        RealOrWide out{p.real ? p.real + at : nullptr, p.high + at, p.low + at};
        if (in_registers) {
            Row<WIDE> registers;
            registers.load(p.pooled + at, p.norm.width);
            Measured<WIDE>(registers, p.norm).write(p.norm, affine, out);
        } else {
            normalize_in_memory(p.pooled + at, p.norm, out);
        }
    }
}
