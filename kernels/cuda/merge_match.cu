// Token merging, first half: the most similar B token (odd position) of every A token (even position), and
// which A tokens merge: the r most similar.
//
// A block takes 16 A tokens of an image and all of its B tokens. The metric of a token is the sum of its keys
// over heads, 64 integers of up to 13 bits: as 256 h + l with bytes h and l, four products on the Tensor Cores
// make one exact one. B's metric is computed again by every block, from L2, which is cheaper than a launch.
// The last block of an image to arrive ranks its A tokens.
//
// Bytes: T C keys read an image (B's again for each further block), 8 T / 2 written. Operations: T^2 / 4 * 64
// multiply-accumulates, four times. Orin Nano Super, ViT-B/16 at batch 1: 7 blocks, each reads 88 kB from L2:
// about 4 us, of which 2 are the launch.
//
// dynamic shared: merge_match 18480
#include "arrival.cuh"
#include "numerics.cuh"
#include "tensor.cuh"

struct MergeMatchParams {
    const i8 *qkv;     // (B, T, 3C)
    float *similarity; // (B, ceil(T / 2)): of the best partner; minus infinity for a class token
    u32 *partner;      // (B, ceil(T / 2)): index among B tokens of the one it merges into, or STAYS
    u32 *arrived;      // (B): zero before and after
    u32 tokens;        // T
    u32 width;         // C
    u32 merged;        // r
    u32 class_token;   // 1 if token 0 is a class token, which never merges
};

constexpr u32 THREADS = 128;
constexpr u32 WARPS = THREADS / WARP;
constexpr u32 STAYS = 0xffffffffu;
constexpr u32 SOURCES = 16;
constexpr u32 BLOCK = 32; // B tokens are rounded up to this many
static_assert(HEAD_WIDTH == ROW_BYTES, "a metric is one row of shared memory");

// Shared memory: high and low bytes of the metric, (rows, 64) each, and 1 / norm. The first 16 rows are the
// block's A tokens, then come all B tokens.
struct Metric {
    u8 *high, *low;
    float *inverse_norm;

    DEVICE Metric(u8 *shared, u32 rows)
        : high(shared), low(shared + rows * HEAD_WIDTH), inverse_norm((float *)(shared + 2 * rows * HEAD_WIDTH)) {}

    // Four neighbouring lanes make the metric of one token, 16 channels each; zeros if there is no such token.
    // Every lane takes part, whatever its row, so that the exchange below is one instruction.
    DEVICE void make(u32 row, u32 rows, const i8 *keys, u32 width, bool valid) {
        u32 chunk = threadIdx.x % CHUNKS;
        i32 sum[CHUNK] = {};
#pragma unroll 4
        for (u32 head = 0; head < width; head += HEAD_WIDTH) {
            uint4 k = *(const uint4 *)(keys + head + chunk * CHUNK);
            const i32 word[4] = {(i32)k.x, (i32)k.y, (i32)k.z, (i32)k.w};
#pragma unroll
            for (u32 i = 0; i < CHUNK; i++) sum[i] = __dp4a(word[i / 4], 1 << 8 * (i % 4), sum[i]);
        }
        if (!valid)
#pragma unroll
            for (u32 i = 0; i < CHUNK; i++) sum[i] = 0;
        i32 norm = 0;
        u32 h[4], l[4];
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            i32 hi[4];
#pragma unroll
            for (u32 c = 0; c < 4; c++) {
                i32 x = sum[4 * i + c];
                norm += x * x;
                hi[c] = (x + 128) >> 8;
            }
            h[i] = pack4(hi[0], hi[1], hi[2], hi[3]);
            // The low byte of x is that of x - 256 h.
            l[i] = pack4(sum[4 * i], sum[4 * i + 1], sum[4 * i + 2], sum[4 * i + 3]);
        }
        norm += __shfl_xor_sync(ALL, norm, 1);
        norm += __shfl_xor_sync(ALL, norm, 2);
        if (row >= rows) return;
        u32 at = place(row, chunk);
        *(uint4 *)(high + at) = make_uint4(h[0], h[1], h[2], h[3]);
        *(uint4 *)(low + at) = make_uint4(l[0], l[1], l[2], l[3]);
        if (chunk == 0) inverse_norm[row] = norm ? __fdiv_rn(1.0f, __fsqrt_rn((float)norm)) : 0.0f;
    }
};

// The best partner so far. Of equals the lower index.
struct Best {
    float similarity;
    u32 partner;

    DEVICE void take(float s, u32 b) {
        if (s > similarity || (s == similarity && b < partner)) {
            similarity = s;
            partner = b;
        }
    }
};

// Dot products of 16 A tokens with 8 B tokens from row `row` on.
DEVICE void dots(const Metric &metric, const u32 (&ah)[2][4], const u32 (&al)[2][4], u32 row, i32 (&dot)[4]) {
    u32 lane = lane_id(), at = place(row + lane % 8, lane / 8);
    u32 bh[4], bl[4];
    load_matrices(bh, shared_address(metric.high) + at);
    load_matrices(bl, shared_address(metric.low) + at);
    i32 hh[4] = {}, mixed[4] = {}, ll[4] = {};
#pragma unroll
    for (u32 k = 0; k < 2; k++) {
        multiply_s8(hh, ah[k], bh[2 * k], bh[2 * k + 1]);
        multiply_s8(mixed, ah[k], bl[2 * k], bl[2 * k + 1]);
        multiply_s8(mixed, al[k], bh[2 * k], bh[2 * k + 1]);
        multiply_s8(ll, al[k], bl[2 * k], bl[2 * k + 1]);
    }
#pragma unroll
    for (u32 i = 0; i < 4; i++) dot[i] = hh[i] * 65536 + mixed[i] * 256 + ll[i];
}

// The best of this warp's share of the B tokens for the lane's rows g and g + 8.
DEVICE void search(const Metric &metric, u32 targets, Best (&best)[2]) {
    u32 lane = lane_id(), ah[2][4], al[2][4];
#pragma unroll
    for (u32 k = 0; k < 2; k++) {
        u32 at = place(lane % 16, 2 * k + lane / 16);
        load_matrices(ah[k], shared_address(metric.high) + at);
        load_matrices(al[k], shared_address(metric.low) + at);
    }
    float inverse[2] = {metric.inverse_norm[lane / 4], metric.inverse_norm[lane / 4 + 8]};
    for (u32 b0 = warp_id() * 8; b0 < targets; b0 += 8 * WARPS) {
        i32 dot[4];
        dots(metric, ah, al, SOURCES + b0, dot);
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            u32 b = b0 + lane % 4 * 2 + i % 2;
            float s = __fmul_rn(__fmul_rn((float)dot[i], inverse[i / 2]), metric.inverse_norm[SOURCES + b]);
            if (b < targets) best[i / 2].take(s, b);
        }
    }
#pragma unroll
    for (u32 i = 0; i < 2; i++)
#pragma unroll
        for (u32 across = 1; across <= 2; across *= 2)
            best[i].take(__shfl_xor_sync(ALL, best[i].similarity, across),
                         __shfl_xor_sync(ALL, best[i].partner, across));
}

// Ranks A tokens by similarity, of equals the lower index first: all but the first r stay.
DEVICE void rank(const MergeMatchParams &p, float *similarity, u32 sources) {
    u32 start = blockIdx.y * sources;
    for (u32 a = threadIdx.x; a < sources; a += THREADS) similarity[a] = __ldcg(p.similarity + start + a);
    __syncthreads();
    for (u32 a = threadIdx.x; a < sources; a += THREADS) {
        float own = similarity[a];
        u32 ahead = 0;
#pragma unroll 4
        for (u32 other = 0; other < a; other++) ahead += similarity[other] >= own;
#pragma unroll 4
        for (u32 other = a + 1; other < sources; other++) ahead += similarity[other] > own;
        if (ahead >= p.merged) p.partner[start + a] = STAYS;
    }
}

// Writes what the warps have found: of equals the lower index.
DEVICE void write(const MergeMatchParams &p, const Best (&found)[WARPS][SOURCES], u32 a, u32 sources) {
    u32 row = threadIdx.x;
    Best best = found[0][row];
    for (u32 warp = 1; warp < WARPS; warp++) best.take(found[warp][row].similarity, found[warp][row].partner);
    if (p.class_token && a == 0) best = {-__int_as_float(0x7f800000), 0};
    p.similarity[blockIdx.y * sources + a] = best.similarity;
    p.partner[blockIdx.y * sources + a] = best.partner;
}

extern "C" __global__ void __launch_bounds__(THREADS) merge_match(PARAMS(MergeMatchParams) p) {
    extern __shared__ __align__(128) u8 shared[];
    __shared__ Best found[WARPS][SOURCES];
    u32 sources = ceil_div(p.tokens, 2), targets = p.tokens / 2, first = blockIdx.x * SOURCES;
    u32 rows = SOURCES + round_up(targets, BLOCK);
    Metric metric(shared, rows);
    const i8 *keys = p.qkv + (u64)blockIdx.y * p.tokens * 3 * p.width + p.width;
    for (u32 start = 0; start < rows; start += THREADS / CHUNKS) {
        u32 row = start + threadIdx.x / CHUNKS;
        u32 token = row < SOURCES ? 2 * (first + row) : 2 * (row - SOURCES) + 1;
        bool valid = token < p.tokens;
        metric.make(row, rows, keys + (u64)(valid ? token : 0) * 3 * p.width, p.width, valid);
    }
    __syncthreads();
    Best best[2] = {{-__int_as_float(0x7f800000), ~0u}, {-__int_as_float(0x7f800000), ~0u}};
    search(metric, targets, best);
    u32 lane = lane_id();
    if (lane % 4 == 0) {
        found[warp_id()][lane / 4] = best[0];
        found[warp_id()][lane / 4 + 8] = best[1];
    }
    __syncthreads();
    u32 a = first + threadIdx.x;
    if (threadIdx.x < SOURCES && a < sources) write(p, found, a, sources);
    __shared__ u32 before;
    if (arrives_last(p.arrived + blockIdx.y, gridDim.x, &before)) rank(p, (float *)shared, sources);
}
