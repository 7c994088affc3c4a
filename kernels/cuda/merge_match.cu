// Token merging, first half: the most similar target of every source, and which sources merge: the r most similar.
// Sources are the tokens at even positions, targets those at odd ones; the first P tokens are neither.
//
// A block takes 16 or 64 sources of an image and all of its targets, a tile of them at a time. The metric of a token
// is the sum of its keys over heads, D integers of up to 13 bits: as 256 h + l with bytes h and l, four products on
// the Tensor Cores make one exact one. The targets' metric is computed again by every block, from L2, which is
// cheaper than a launch. The last block of an image to arrive ranks its sources.
//
// Bytes: T A keys read an image (half of them again for each further block), 8 T / 2 written. Operations:
// T^2 / 4 * D multiply-accumulates, four times. Orin Nano Super, ViT-B/16 at batch 1: 7 blocks, each reads 88 kB
// from L2: about 4 us, of which 2 are the launch.
//
// By class attention: the blocks read the keys once more together, H (T - P) D multiply-accumulates; the last block
// makes 2 H (T - P) softmax numerators.
//
// dynamic shared: merge_match_32 9792
// dynamic shared: merge_match_64 19008
// dynamic shared: merge_match_96 28224
// dynamic shared: merge_match_128 37440
#include "arrival.cuh"
#include "class_share.cuh"
#include "numerics.cuh"
#include "rows.cuh"

struct MergeMatchParams {
    const i8 *qkv;     // (B, T, 3A)
    float *similarity; // (B, S): of the best target
    u32 *partner;      // (B, S): index among targets of the one it merges into, or STAYS
    u32 *arrived;      // (B): zero before and after
    u32 tokens;        // T
    u32 prefix;        // P
    u32 heads;         // H
    u32 merged;        // r
    u32 groups;        // of 16 sources that a block takes: 1, 2 or 4
    u32 padding;
    ClassShareParams share; // where the class token's attention ranks sources too

    DEVICE u32 first_source() const { return round_up(prefix, 2); }
    DEVICE u32 first_target() const { return prefix | 1; }
    DEVICE u32 sources() const { return ceil_div(tokens - first_source(), 2); } // S
    DEVICE u32 targets() const { return ceil_div(tokens - first_target(), 2); }
};

constexpr u32 THREADS = 128;
constexpr u32 WARPS = THREADS / WARP;
constexpr u32 STAYS = 0xffffffffu;
constexpr u32 GROUP = 16; // sources of one product
constexpr u32 BLOCK = 32; // targets are rounded up to this many
constexpr u32 TILE = 128; // targets in shared memory at most
constexpr u32 LANES = 4;  // that make the metric of a token

// Shared memory: high and low bytes of the metric, (rows, D) each, and 1 / norm. The first rows are the block's
// sources, then comes a tile of targets.
template <u32 D>
struct Metric {
    static constexpr u32 OWN = D / LANES; // a lane's channels
    u8 *high, *low;
    float *inverse_norm;

    DEVICE Metric(u8 *shared, u32 rows)
        : high(shared), low(shared + rows * D), inverse_norm((float *)(shared + 2 * rows * D)) {}

    // A lane's bytes of a row.
    static DEVICE void store(u8 *to, u32 row, const u32 (&word)[OWN / 4]) {
#pragma unroll
        for (u32 i = 0; i < OWN; i += OWN % 16 ? 8 : 16) {
            u32 column = threadIdx.x % LANES * OWN + i;
            u8 *at = to + Rows<D>::place(row, column / CHUNK) + column % CHUNK;
            if (OWN % 16)
                *(uint2 *)at = make_uint2(word[i / 4], word[i / 4 + 1]);
            else
                *(uint4 *)at = make_uint4(word[i / 4], word[i / 4 + 1], word[i / 4 + 2], word[i / 4 + 3]);
        }
    }

    // Four neighbouring lanes make the metric of one token; zeros if there is no such token. Every lane takes
    // part, whatever its row, so that the exchange below is one instruction.
    DEVICE void make(u32 row, bool exists, const i8 *keys, u32 heads, bool valid) const {
        i32 sum[OWN] = {};
        keys += threadIdx.x % LANES * OWN;
#pragma unroll 4
        for (u32 head = 0; head < heads; head++) {
            u32 word[OWN / 4];
            load_words(word, keys + head * D);
#pragma unroll
            for (u32 i = 0; i < OWN; i++) sum[i] = __dp4a((i32)word[i / 4], 1 << 8 * (i % 4), sum[i]);
        }
        if (!valid)
#pragma unroll
            for (u32 i = 0; i < OWN; i++) sum[i] = 0;
        i32 norm = 0;
        u32 h[OWN / 4], l[OWN / 4];
#pragma unroll
        for (u32 i = 0; i < OWN / 4; i++) {
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
        if (!exists) return;
        store(high, row, h);
        store(low, row, l);
        if (threadIdx.x % LANES == 0) inverse_norm[row] = norm ? __fdiv_rn(1.0f, __fsqrt_rn((float)norm)) : 0.0f;
    }

    // The block's `own` sources, with the first tile; the tile of targets from index `first` on.
    DEVICE void make_tile(const MergeMatchParams &p, u32 own, u32 rows, u32 first) const {
        u32 width = p.heads * D;
        const i8 *keys = p.qkv + (u64)blockIdx.y * p.tokens * 3 * width + width;
        for (u32 start = first ? own : 0; start < rows; start += THREADS / LANES) {
            u32 row = start + threadIdx.x / LANES;
            u32 token = row < own ? p.first_source() + 2 * (blockIdx.x * own + row)
                                  : p.first_target() + 2 * (first + row - own);
            bool valid = token < p.tokens;
            make(row, row < rows, keys + (u64)(valid ? token : 0) * 3 * width, p.heads, valid);
        }
    }
};

// The best target so far. Of equals the lower index.
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

// A group of 16 sources, and what is best for the lane's rows g and g + 8.
template <u32 D>
struct Group {
    u32 high[D / 32][4], low[D / 32][4]; // A fragments
    float inverse_norm[2];
    Best best[2];

    DEVICE void load(const Metric<D> &metric, u32 row) {
        u32 lane = lane_id();
#pragma unroll
        for (u32 k = 0; k < D / 32; k++) {
            u32 at = Rows<D>::place(row + lane % 16, 2 * k + lane / 16);
            load_matrices(high[k], shared_address(metric.high) + at);
            load_matrices(low[k], shared_address(metric.low) + at);
        }
#pragma unroll
        for (u32 i = 0; i < 2; i++) {
            inverse_norm[i] = metric.inverse_norm[row + lane / 4 + 8 * i];
            best[i] = {-__int_as_float(0x7f800000), ~0u};
        }
    }

    // Dot products with 8 targets.
    DEVICE void dots(const u32 (&h)[D / 32][2], const u32 (&l)[D / 32][2], i32 (&dot)[4]) const {
        i32 hh[4] = {}, mixed[4] = {}, ll[4] = {};
#pragma unroll
        for (u32 k = 0; k < D / 32; k++) {
            multiply_s8(hh, high[k], h[k][0], h[k][1]);
            multiply_s8(mixed, high[k], l[k][0], l[k][1]);
            multiply_s8(mixed, low[k], h[k][0], h[k][1]);
            multiply_s8(ll, low[k], l[k][0], l[k][1]);
        }
#pragma unroll
        for (u32 i = 0; i < 4; i++) dot[i] = hh[i] * 65536 + mixed[i] * 256 + ll[i];
    }

    // Every `step`-th eight from the `start`-th on of a tile of `count` targets, which are rows from `row` on and
    // whose first has index `first`.
    DEVICE void search(const Metric<D> &metric, u32 row, u32 first, u32 count, u32 start, u32 step) {
        RowReader<D> high_rows(shared_address(metric.high)), low_rows(shared_address(metric.low));
        high_rows.advance(row + 8 * start), low_rows.advance(row + 8 * start);
        const float *inverse = metric.inverse_norm + row + lane_id() % 4 * 2;
        for (u32 b0 = 8 * start; b0 < count; b0 += 8 * step) {
            u32 h[D / 32][2], l[D / 32][2];
            i32 dot[4];
            high_rows.get(0, h), high_rows.advance(8 * step);
            low_rows.get(0, l), low_rows.advance(8 * step);
            dots(h, l, dot);
            float2 of_target = *(const float2 *)(inverse + b0);
#pragma unroll
            for (u32 i = 0; i < 4; i++) {
                u32 b = b0 + lane_id() % 4 * 2 + i % 2;
                float of_both = __fmul_rn((float)dot[i], inverse_norm[i / 2]);
                float s = __fmul_rn(of_both, i % 2 ? of_target.y : of_target.x);
                if (b < count) best[i / 2].take(s, first + b);
            }
        }
    }

    DEVICE void store(Best (&found)[GROUP]) {
#pragma unroll
        for (u32 i = 0; i < 2; i++) {
#pragma unroll
            for (u32 across = 1; across <= 2; across *= 2)
                best[i].take(__shfl_xor_sync(ALL, best[i].similarity, across),
                             __shfl_xor_sync(ALL, best[i].partner, across));
            if (lane_id() % 4 == 0) found[lane_id() / 4 + 8 * i] = best[i];
        }
    }
};

// What ranks a source by its similarity: that, or its distance times the root of its pair's larger share.
DEVICE float priority(const MergeMatchParams &p, const float *shares, u32 a) {
    u32 at = blockIdx.y * p.sources() + a;
    float similarity = __ldcg(p.similarity + at);
    if (!shares) return similarity;
    u32 source = p.first_source() + 2 * a, target = p.first_target() + 2 * __ldcg(p.partner + at);
    float larger = fmaxf(shares[source - p.prefix], shares[target - p.prefix]);
    return __fmul_rn(fminf(__fsub_rn(similarity, 1.0f), 0.0f), __fsqrt_rn(larger));
}

// Ranks sources, of equals the lower index first: all but the first r stay.
DEVICE void rank(const MergeMatchParams &p, const float *shares, float *priorities) {
    u32 sources = p.sources(), start = blockIdx.y * sources;
    for (u32 a = threadIdx.x; a < sources; a += THREADS) priorities[a] = priority(p, shares, a);
    __syncthreads();
    for (u32 a = threadIdx.x; a < sources; a += THREADS) {
        float own = priorities[a];
        u32 ahead = 0;
#pragma unroll 4
        for (u32 other = 0; other < a; other++) ahead += priorities[other] >= own;
#pragma unroll 4
        for (u32 other = a + 1; other < sources; other++) ahead += priorities[other] > own;
        if (ahead >= p.merged) p.partner[start + a] = STAYS;
    }
}

// Writes what the warps of each group have found: of equals the lower index.
DEVICE void write(const MergeMatchParams &p, const Best (&found)[WARPS][GROUP]) {
    u32 row = threadIdx.x % GROUP, a = blockIdx.x * p.groups * GROUP + threadIdx.x;
    if (threadIdx.x >= p.groups * GROUP || a >= p.sources()) return;
    u32 group = threadIdx.x / GROUP;
    Best best = found[group][row];
    for (u32 warp = group + p.groups; warp < WARPS; warp += p.groups)
        best.take(found[warp][row].similarity, found[warp][row].partner);
    p.similarity[blockIdx.y * p.sources() + a] = best.similarity;
    p.partner[blockIdx.y * p.sources() + a] = best.partner;
}

template <u32 D>
DEVICE void match(const MergeMatchParams &p) {
    extern __shared__ __align__(128) u8 shared[];
    __shared__ Best found[WARPS][GROUP];
    u32 own = p.groups * GROUP, targets = p.targets(), most = min(round_up(targets, BLOCK), TILE);
    ClassShare<D, THREADS, LANES> share(p.share, p.qkv, p.heads, p.tokens, p.prefix);
    if (p.share.sizes) share.score();
    Metric<D> metric(shared, own + most);
    Group<D> group;
    for (u32 first = 0; first < targets; first += TILE) {
        if (first) __syncthreads();
        metric.make_tile(p, own, own + most, first);
        __syncthreads();
        if (!first) group.load(metric, warp_id() % p.groups * GROUP);
        group.search(metric, own, first, min(targets - first, TILE), warp_id() / p.groups, WARPS / p.groups);
    }
    group.store(found[warp_id()]);
    __syncthreads();
    write(p, found);
    __shared__ u32 before;
    if (!arrives_last(p.arrived + blockIdx.y, gridDim.x, &before)) return;
    float *priorities = (float *)shared, *shares = priorities + p.sources();
    if (p.share.sizes) share.make(shares);
    rank(p, p.share.sizes ? shares : nullptr, priorities);
}

#define MERGE_MATCH(D)                                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS) merge_match_##D(PARAMS(MergeMatchParams) p) {       \
        match<D>(p);                                                                                           \
    }
MERGE_MATCH(32)
MERGE_MATCH(64)
MERGE_MATCH(96)
MERGE_MATCH(128)
