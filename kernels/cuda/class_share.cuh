// What the class token's attention gives the tokens behind the prefix of an image, summed over heads, for blocks of
// merge_match.cu: all of them compute scores, the last one to arrive makes shares of them.
#pragma once
#include "numerics.cuh"

constexpr u32 MAX_HEADS = 32;

struct ClassShareParams {
    const u32 *sizes;         // (B, T); null: nobody asks for shares
    const float *score_scale; // (H)
    float *scores;            // (B, H, T - P)
};

// An image's class token and its heads of D channels. THREADS threads a block; LANES of them make a product.
template <u32 D, u32 THREADS, u32 LANES>
struct ClassShare {
    static constexpr u32 OWN = D / LANES; // a lane's channels
    static constexpr u32 TOKENS = THREADS / LANES;
    const ClassShareParams &p;
    const i8 *qkv; // (T, 3A)
    u32 heads, prefix, count;

    DEVICE ClassShare(const ClassShareParams &p, const i8 *qkv, u32 heads, u32 tokens, u32 prefix)
        : p(p), qkv(qkv + (u64)blockIdx.y * tokens * 3 * heads * D), heads(heads), prefix(prefix),
          count(tokens - prefix) {}

    DEVICE float *scores(u32 head) const { return p.scores + ((u64)blockIdx.y * heads + head) * count; }

    // This block's part of the tokens.
    DEVICE void score() const {
        u32 lane = threadIdx.x % LANES, width = heads * D;
        for (u32 first = blockIdx.x * TOKENS; first < count; first += gridDim.x * TOKENS) {
            u32 token = first + threadIdx.x / LANES;
            bool exists = token < count;
            const i8 *query = qkv + lane * OWN;
            const i8 *key = query + (u64)(prefix + (exists ? token : 0)) * 3 * width + width;
            for (u32 head = 0; head < heads; head++) {
                u32 q[OWN / 4], k[OWN / 4];
                load_words(q, query + head * D);
                load_words(k, key + head * D);
                i32 dot = 0;
#pragma unroll
                for (u32 i = 0; i < OWN / 4; i++) dot = __dp4a((i32)q[i], (i32)k[i], dot);
#pragma unroll
                for (u32 across = 1; across < LANES; across *= 2) dot += __shfl_xor_sync(ALL, dot, across);
                if (exists && lane == 0) scores(head)[token] = __fmul_rn((float)dot, p.score_scale[head]);
            }
        }
    }

    // (T - P) in shared memory, from all blocks' scores.
    DEVICE void make(float *shares) const {
        __shared__ float max[MAX_HEADS], inverse[MAX_HEADS];
        const u32 *sizes = p.sizes + (u64)blockIdx.y * (prefix + count) + prefix;
        for (u32 head = warp_id(); head < heads; head += THREADS / WARP) {
            const float *of_head = scores(head);
            float most = -__int_as_float(0x7f800000);
            for (u32 token = lane_id(); token < count; token += WARP) most = fmaxf(most, __ldcg(of_head + token));
#pragma unroll
            for (u32 across = 1; across < WARP; across *= 2)
                most = fmaxf(most, __shfl_xor_sync(ALL, most, across));
            u32 total = 0;
            for (u32 token = lane_id(); token < count; token += WARP) {
                float numerator = exp2_255(__fsub_rn(__ldcg(of_head + token), most));
                total += sizes[token] * (float_bits(__fadd_rn(numerator, MAGIC)) - MAGIC_BITS);
            }
#pragma unroll
            for (u32 across = 1; across < WARP; across *= 2) total += __shfl_xor_sync(ALL, total, across);
            if (lane_id() == 0) {
                max[head] = most;
                inverse[head] = __fdiv_rn(1.0f, (float)total);
            }
        }
        __syncthreads();
        for (u32 token = threadIdx.x; token < count; token += THREADS) {
            float share = 0.0f;
            for (u32 head = 0; head < heads; head++) {
                float score = __ldcg(scores(head) + token);
                share = __fmaf_rn(exp2_255(__fsub_rn(score, max[head])), inverse[head], share);
            }
            shares[token] = __fmul_rn(share, (float)sizes[token]);
        }
        __syncthreads();
    }
};
