// Token merging, second half, and the layer norm that follows: the r most similar A tokens join their
// partners, the others stay; (B, T, C) to (B, T - r, C) f16, and the same rows normalized to i8.
//
// One warp an output token: A tokens that stay, in ascending order, then all B tokens. A row is merged in
// registers and normalized from there, so that merging costs no further pass over the tokens.
//
// Bytes: 2 T C read, 3 (T - r) C written an image. Orin Nano Super, ViT-B/16 at batch 1, r = 8: 0.75 MB, from
// L2: about 4 us, of which the layer norm alone would take 3.
#include "norm.cuh"

struct MergeNormParams {
    const u32 *partner;   // (B, ceil(T / 2)): the B token that an A token merges into, or STAYS
    const u16 *residual;  // (B, T, C) f16
    const u32 *sizes;     // (B, T)
    u16 *merged_residual; // (B, T - r, C) f16
    u32 *merged_sizes;    // (B, T - r)
    const float *gain;    // (C)
    const float *bias;    // (C)
    i8 *normed;           // (B, T - r, C)
    u32 tokens;           // T
    u32 width;            // C
    u32 merged;           // r
    float epsilon;
};

constexpr u32 THREADS = 128;
constexpr u32 WARPS = THREADS / WARP;
constexpr u32 STAYS = 0xffffffffu;
constexpr u32 MAX_SOURCES = 513;
constexpr u32 WORDS = ceil_div(MAX_SOURCES, WARP);

// What a block knows of an image's A tokens.
struct Matching {
    u32 partner[MAX_SOURCES];
    u32 merges[WORDS]; // a bit each: whether it merges
};

DEVICE void load(Matching &m, const MergeNormParams &p, u32 sources) {
    for (u32 word = warp_id(); word * WARP < sources; word += WARPS) {
        u32 a = word * WARP + lane_id();
        u32 partner = a < sources ? p.partner[blockIdx.y * sources + a] : STAYS;
        if (a < sources) m.partner[a] = partner;
        u32 merges = __ballot_sync(ALL, partner != STAYS);
        if (lane_id() == 0) m.merges[word] = merges;
    }
    __syncthreads();
}

// The A token that is the `index`-th of those that stay.
DEVICE u32 stays(const Matching &m, u32 index) {
    u32 word = 0, staying = ~m.merges[0];
    while (index >= __popc(staying)) {
        index -= __popc(staying);
        staying = ~m.merges[++word];
    }
    u32 lane = lane_id();
    bool mine = (staying >> lane & 1) && __popc(staying & ((1u << lane) - 1)) == index;
    return word * WARP + __ffs(__ballot_sync(ALL, mine)) - 1;
}

// The weighted mean of B token `b` and the A tokens that join it, B's own first, then by ascending index.
// Without any the row is as it was: own x / own is exact. Returns the sum of sizes.
DEVICE u32 join(Row &row, const Matching &m, const MergeNormParams &p, u32 sources, u32 b) {
    const u32 *sizes = p.sizes + blockIdx.y * p.tokens;
    const u16 *residual = p.residual + (u64)blockIdx.y * p.tokens * p.width;
    u32 own = sizes[2 * b + 1], size = own;
    float sum[ROW_STEPS][LANE_ELEMENTS];
#pragma unroll
    for (u32 s = 0; s < ROW_STEPS; s++) {
        row.floats(s, sum[s]);
#pragma unroll
        for (u32 i = 0; i < LANE_ELEMENTS; i++) sum[s][i] = __fmul_rn((float)own, sum[s][i]);
    }
    for (u32 word = 0; word * WARP < sources; word++) {
        u32 a = word * WARP + lane_id();
        bool joins = (m.merges[word] >> lane_id() & 1) && m.partner[a] == b;
        for (u32 left = __ballot_sync(ALL, joins); left; left &= left - 1) {
            u32 token = 2 * (word * WARP + __ffs(left) - 1), weight = sizes[token];
            size += weight;
#pragma unroll
            for (u32 s = 0; s < ROW_STEPS; s++) {
                if (Row::column(s) >= p.width) break;
                Row part;
                part.x[s] = *(const uint4 *)(residual + (u64)token * p.width + Row::column(s));
                float x[LANE_ELEMENTS];
                part.floats(s, x);
#pragma unroll
                for (u32 i = 0; i < LANE_ELEMENTS; i++) sum[s][i] = __fmaf_rn((float)weight, x[i], sum[s][i]);
            }
        }
    }
    if (size == own) return size;
    float count = (float)size;
#pragma unroll
    for (u32 s = 0; s < ROW_STEPS; s++) {
        if (Row::column(s) >= p.width) break;
        float *x = sum[s];
#pragma unroll
        for (u32 i = 0; i < LANE_ELEMENTS; i++) x[i] = __fdiv_rn(x[i], count);
        row.x[s] = make_uint4(half_pair(x[0], x[1]), half_pair(x[2], x[3]), half_pair(x[4], x[5]),
                              half_pair(x[6], x[7]));
    }
    return size;
}

extern "C" __global__ void __launch_bounds__(THREADS) merge_norm(PARAMS(MergeNormParams) p) {
    __shared__ Matching matching;
    u32 sources = ceil_div(p.tokens, 2);
    load(matching, p, sources);
    u32 index = blockIdx.x * WARPS + warp_id(), staying = sources - p.merged, image = blockIdx.y;
    if (index >= p.tokens - p.merged) return;
    u32 token = index < staying ? 2 * stays(matching, index) : 2 * (index - staying) + 1;
    Row row;
    row.load(p.residual + ((u64)image * p.tokens + token) * p.width, p.width);
    u32 size = index < staying ? p.sizes[image * p.tokens + token]
                               : join(row, matching, p, sources, index - staying);
    u32 at = image * (p.tokens - p.merged) + index;
    if (lane_id() == 0) p.merged_sizes[at] = size;
    row.store(p.merged_residual + (u64)at * p.width, p.width);
    const NormParams norm = {p.gain, p.bias, p.width, p.width, LAYER, p.epsilon};
    normalize(row, norm, Bytes{p.normed + (u64)at * p.width});
}
