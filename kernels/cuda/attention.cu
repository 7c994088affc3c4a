// Multi-head attention: qkv (B, T, 3C) i8 to context (B, T, C) i8.
//
// A block takes 64 queries of one head, 16 a warp; keys and values of the head lie in shared memory. The
// integer softmax needs a row's true maximum before the first weight, so scores are computed twice and never
// leave the registers: once for the maximum, once for the weights, which are at once the A fragments of the
// second product.
//
// - Sums start at the bits of 1.5 * 2^23: what the Tensor Core leaves there is already a float.
// - A lane's scores of two neighbouring 8-token fragments are tokens 2q, 2q + 1, 8 + 2q, 9 + 2q. Taken as
//   bytes 4q .. 4q + 3 of the second product's inner dimension, they need no exchange between lanes, as long
//   as the values come in the same order: `ldmatrix.trans` moves pairs of channels of just those tokens to
//   the lane, and two byte permutations separate even from odd channels.
//
// Bytes: 3 T C read, T C written an image, once more from L2 for each further block of queries.
// Operations: 3 T^2 C multiply-accumulates, and some 20 a score for exp2. Orin Nano Super, ViT-B/16 at
// batch 1: 0.09 GMAC, 5 us on Tensor Cores; 0.47 M scores, 12 us of exp2 on 8 SMs.
//
// dynamic shared: attention 29568
#include "numerics.cuh"
#include "tensor.cuh"

struct AttentionParams {
    const i8 *qkv;              // (B, T, 3C)
    const u32 *sizes;           // (B, T), or null
    const float *log2_size;     // (MAX_TOKENS + 1)
    const float *score_scale;   // (H)
    const float *context_scale; // (H)
    i8 *context;                // (B, T, C)
    u32 tokens;                 // T
    u32 heads;                  // H
};

constexpr u32 QUERIES = 64;
constexpr u32 THREADS = QUERIES / 16 * WARP;
constexpr u32 BLOCK = 32; // tokens that one inner step of the second product takes
static_assert(HEAD_WIDTH == ROW_BYTES, "a head is one row of shared memory");

// Brings (tokens, 64) of a head to shared memory, zeros up to a whole block.
DEVICE void load_tokens(u32 shared, const i8 *from, u32 tokens, u32 stride) {
    for (u32 i = threadIdx.x; i < round_up(tokens, BLOCK) * CHUNKS; i += THREADS) {
        u32 row = i / CHUNKS, chunk = i % CHUNKS;
        bool valid = row < tokens;
        copy_async_16(shared + place(row, chunk), from + (valid ? (u64)row * stride + chunk * CHUNK : 0), valid);
    }
    copy_async_commit();
}

// log2 of every token's size; minus infinity beyond the last token, so that its weight is 0.
DEVICE void load_bias(float *bias, const AttentionParams &p) {
    for (u32 j = threadIdx.x; j < round_up(p.tokens, BLOCK); j += THREADS) {
        float value = -__int_as_float(0x7f800000);
        if (j < p.tokens) value = p.sizes ? p.log2_size[p.sizes[blockIdx.z * p.tokens + j]] : 0.0f;
        bias[j] = value;
    }
}

// 16 queries of a warp against 8 tokens at a time.
struct Scores {
    u32 query[2][4]; // A fragments of both halves of the head
    u32 keys;        // this lane's `ldmatrix` address for the first 8 tokens
    const float *bias;
    float scale;

    // Rows g and g + 8 of the lane, columns 2q and 2q + 1 of the 8 tokens from `j` on.
    DEVICE void get(u32 j, float (&t)[4]) const {
        u32 k[4];
        load_matrices(k, keys + j * HEAD_WIDTH);
        i32 sum[4] = {MAGIC_BITS, MAGIC_BITS, MAGIC_BITS, MAGIC_BITS};
        multiply_s8(sum, query[0], k[0], k[1]);
        multiply_s8(sum, query[1], k[2], k[3]);
        float2 b = *(const float2 *)(bias + j + lane_id() % 4 * 2);
#pragma unroll
        for (u32 i = 0; i < 4; i++)
            t[i] = __fmaf_rn(__fsub_rn(__int_as_float(sum[i]), MAGIC), scale, i % 2 ? b.y : b.x);
    }
};

// The largest score of the lane's two rows.
DEVICE void row_maxima(const Scores &scores, u32 tokens, float (&max)[2]) {
    max[0] = max[1] = -__int_as_float(0x7f800000);
#pragma unroll 4
    for (u32 j = 0; j < round_up(tokens, BLOCK); j += 8) {
        float t[4];
        scores.get(j, t);
        max[0] = fmaxf(max[0], fmaxf(t[0], t[1]));
        max[1] = fmaxf(max[1], fmaxf(t[2], t[3]));
    }
#pragma unroll
    for (u32 i = 0; i < 2; i++) {
        max[i] = fmaxf(max[i], __shfl_xor_sync(ALL, max[i], 1));
        max[i] = fmaxf(max[i], __shfl_xor_sync(ALL, max[i], 2));
    }
}

// Weights of 32 tokens as an A fragment, and their sums.
DEVICE void weights(const Scores &scores, u32 j, const float (&max)[2], u32 (&p)[4], u32 (&sum)[2]) {
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        u32 e[2][4]; // [8-token fragment][row g: two, row g + 8: two]
#pragma unroll
        for (u32 f = 0; f < 2; f++) {
            float t[4];
            scores.get(j + 16 * half + 8 * f, t);
#pragma unroll
            for (u32 i = 0; i < 4; i++) e[f][i] = exp2_255_bits(__fsub_rn(t[i], max[i / 2]));
        }
#pragma unroll
        for (u32 row = 0; row < 2; row++) {
            u32 bytes = pack4(e[0][2 * row], e[0][2 * row + 1], e[1][2 * row], e[1][2 * row + 1]);
            p[2 * half + row] = bytes;
            sum[row] = __dp4a(bytes, 0x01010101u, sum[row]);
        }
    }
}

// Sums of values: [16 channels][even, odd channels][the lane's four].
typedef i32 Context[CHUNKS][2][4];

// `values` is this lane's `ldmatrix` row of the 32 tokens, without the chunk.
DEVICE void add_values(Context &context, const u32 (&p)[4], u32 values, u32 swizzle) {
#pragma unroll
    for (u32 chunk = 0; chunk < CHUNKS; chunk++) {
        u32 v[4];
        load_matrices_transposed(v, values + (chunk ^ swizzle) * CHUNK);
        multiply_u8s8(context[chunk][0], p, __byte_perm(v[0], v[1], 0x6420), __byte_perm(v[2], v[3], 0x6420));
        multiply_u8s8(context[chunk][1], p, __byte_perm(v[0], v[1], 0x7531), __byte_perm(v[2], v[3], 0x7531));
    }
}

DEVICE void write(const AttentionParams &p, const Context &context, const u32 (&sum)[2], u32 query) {
    u32 head = blockIdx.y, width = p.heads * HEAD_WIDTH;
#pragma unroll
    for (u32 row = 0; row < 2; row++) {
        u32 token = query + 8 * row;
        if (token >= p.tokens) continue;
        float scale = __fdiv_rn(p.context_scale[head], (float)sum[row]);
        i8 *out = p.context + ((u64)blockIdx.z * p.tokens + token) * width + head * HEAD_WIDTH;
#pragma unroll
        for (u32 chunk = 0; chunk < CHUNKS; chunk++) {
            u32 q[4];
#pragma unroll
            for (u32 i = 0; i < 4; i++)
                q[i] = sat8(__fmul_rn((float)context[chunk][i % 2][2 * row + i / 2], scale));
            *(u32 *)(out + chunk * CHUNK + lane_id() % 4 * 4) = pack4(q[0], q[1], q[2], q[3]);
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) attention(PARAMS(AttentionParams) p) {
    extern __shared__ __align__(128) u8 shared[];
    u32 lane = lane_id(), width = p.heads * HEAD_WIDTH, padded = round_up(p.tokens, BLOCK);
    u32 keys = shared_address(shared), values = keys + padded * HEAD_WIDTH;
    float *bias = (float *)(shared + 2 * padded * HEAD_WIDTH);
    const i8 *query = p.qkv + (u64)blockIdx.z * p.tokens * 3 * width + blockIdx.y * HEAD_WIDTH;
    load_tokens(keys, query + width, p.tokens, 3 * width);
    load_tokens(values, query + 2 * width, p.tokens, 3 * width);
    load_bias(bias, p);

    Scores scores;
    u32 first = blockIdx.x * QUERIES + warp_id() * 16;
    bool idle = first >= p.tokens;
#pragma unroll
    for (u32 i = 0; i < 8; i++) {
        // Beyond the last token any row will do: the result is discarded.
        u32 row = min(first + lane / 4 + i % 2 * 8, p.tokens - 1);
        scores.query[i / 4][i % 4] = *(const u32 *)(query + (u64)row * 3 * width + i / 2 * CHUNK + lane % 4 * 4);
    }
    scores.keys = keys + place(lane % 8, lane / 8);
    scores.bias = bias;
    scores.scale = p.score_scale[blockIdx.y];

    copy_async_wait<1>();
    __syncthreads();
    float max[2];
    if (!idle) row_maxima(scores, p.tokens, max);
    copy_async_wait<0>();
    __syncthreads();
    if (idle) return;
    Context context = {};
    u32 sum[2] = {0, 0};
    for (u32 j = 0; j < padded; j += BLOCK) {
        u32 weight[4];
        weights(scores, j, max, weight, sum);
        add_values(context, weight, values + (j + lane) * HEAD_WIDTH, lane / 2 % CHUNKS);
    }
#pragma unroll
    for (u32 i = 0; i < 2; i++) {
        sum[i] += __shfl_xor_sync(ALL, sum[i], 1);
        sum[i] += __shfl_xor_sync(ALL, sum[i], 2);
    }
    write(p, context, sum, first + lane / 4);
}
