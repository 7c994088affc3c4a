// Token merging, second half, and the norm that follows: the r most similar sources join their targets, the others
// stay; (B, T, C) to (B, T - r, C) f16, and the same rows normalized to i8. Where tokens have positions, those merge
// alike.
//
// One warp an output token: the prefix, sources that stay, in ascending order, then all targets. A row is merged in
// registers, a piece of it at a time if it is long, and normalized from there if it is not, so that merging costs no
// further pass over the tokens.
//
// Bytes: 2 T C read, 3 (T - r) C written an image. Orin Nano Super, ViT-B/16 at batch 1, r = 8: 0.75 MB, from
// L2: about 4 us, of which the norm alone would take 3.
#include "norm.cuh"
#include "prefetch.cuh"

struct MergeNormParams {
    const u32 *partner;      // (B, S): the target that a source merges into, or STAYS
    const u16 *residual;     // (B, T, C) f16
    const u32 *sizes;        // (B, T)
    const float *positions;  // (B, T, 2): row, column; null: those of the grid
    u16 *merged_residual;    // (B, T - r, C) f16
    u32 *merged_sizes;       // (B, T - r)
    float *merged_positions; // (B, T - r, 2), or null if nobody asks
    i8 *normed;              // (B, T - r, C)
    NormParams norm;         // of C
    Prefetch next;
    u32 tokens;              // T
    u32 prefix;              // P
    u32 merged;              // r
    u32 side;                // patches of a row of the grid

    DEVICE u32 first_source() const { return round_up(prefix, 2); }
    DEVICE u32 first_target() const { return prefix | 1; }
    DEVICE u32 sources() const { return ceil_div(tokens - first_source(), 2); } // S
};

constexpr u32 THREADS = 128;
constexpr u32 WARPS = THREADS / WARP;
constexpr u32 STAYS = 0xffffffffu;
constexpr u32 MAX_SOURCES = 2056;
constexpr u32 WORDS = ceil_div(MAX_SOURCES, WARP);

// What a block knows of an image's sources.
struct Matching {
    u16 partner[MAX_SOURCES];
    u32 merges[WORDS]; // a bit each: whether it merges

    DEVICE void load(const MergeNormParams &p, u32 sources) {
        for (u32 word = warp_id(); word * WARP < sources; word += WARPS) {
            u32 a = word * WARP + lane_id();
            u32 joins = a < sources ? p.partner[blockIdx.y * sources + a] : STAYS;
            if (a < sources) partner[a] = (u16)joins;
            u32 all = __ballot_sync(ALL, joins != STAYS);
            if (lane_id() == 0) merges[word] = all;
        }
        __syncthreads();
    }

    // The source that is the `index`-th of those that stay.
    DEVICE u32 stays(u32 index) const {
        u32 word = 0, staying = ~merges[0];
        while (index >= __popc(staying)) {
            index -= __popc(staying);
            staying = ~merges[++word];
        }
        u32 lane = lane_id();
        bool mine = (staying >> lane & 1) && __popc(staying & ((1u << lane) - 1)) == index;
        return word * WARP + __ffs(__ballot_sync(ALL, mine)) - 1;
    }

    // Hands every source that joins `target` to `take`, in ascending order.
    template <typename Take>
    DEVICE void each_that_joins(u32 target, u32 sources, const Take &take) const {
        for (u32 word = 0; word * WARP < sources; word++) {
            u32 a = word * WARP + lane_id();
            bool joins = (merges[word] >> lane_id() & 1) && partner[a] == target;
            for (u32 left = __ballot_sync(ALL, joins); left; left &= left - 1) take(word * WARP + __ffs(left) - 1);
        }
    }
};

// What becomes an output token: one token, and those that join it if it is a target. Its rows are merged in pieces of at
// most STEPS times 256 elements.
template <u32 STEPS>
struct Merging {
    const MergeNormParams &p;
    const Matching &matching;
    u32 sources;
    u32 token;
    bool is_target;
    u32 target;

    DEVICE Merging(const MergeNormParams &p, const Matching &matching, u32 sources, u32 index)
        : p(p), matching(matching), sources(sources) {
        u32 behind = index - p.prefix, staying = sources - p.merged;
        is_target = index >= p.prefix && behind >= staying;
        target = behind - staying;
        token = is_target           ? p.first_target() + 2 * target
                : index >= p.prefix ? p.first_source() + 2 * matching.stays(behind)
                                    : index;
    }

    // Hands the tokens that join a target to `take`, in ascending order.
    template <typename Take>
    DEVICE void each_that_joins(const Take &take) const {
        matching.each_that_joins(target, sources, [&](u32 a) { take(p.first_source() + 2 * a); });
    }

    DEVICE u32 size(u32 of) const { return p.sizes[blockIdx.y * p.tokens + of]; }

    // The weighted mean of `width` columns from `start` on: the token's own first, then by ascending index. Without
    // others the row is as it was. Returns the sum of sizes.
    DEVICE u32 join(Row<STEPS> &row, u32 start, u32 width) const {
        const u16 *residual = p.residual + (u64)blockIdx.y * p.tokens * p.norm.width + start;
        row.load(residual + (u64)token * p.norm.width, width);
        u32 own = size(token), total = own;
        if (!is_target) return total;
        float sum[STEPS][LANE_ELEMENTS];
#pragma unroll
        for (u32 s = 0; s < STEPS; s++) {
            if (s * ROW_STEP >= width) break;
            row.floats(s, sum[s]);
#pragma unroll
            for (u32 i = 0; i < LANE_ELEMENTS; i++) sum[s][i] = __fmul_rn((float)own, sum[s][i]);
        }
        each_that_joins([&](u32 other) {
            u32 weight = size(other);
            total += weight;
#pragma unroll
            for (u32 s = 0; s < STEPS; s++) {
                if (column_of(s) >= width) break;
                float x[LANE_ELEMENTS];
                to_floats(*(const uint4 *)(residual + (u64)other * p.norm.width + column_of(s)), x);
#pragma unroll
                for (u32 i = 0; i < LANE_ELEMENTS; i++) sum[s][i] = __fmaf_rn((float)weight, x[i], sum[s][i]);
            }
        });
        if (total == own) return total;
        float count = (float)total;
#pragma unroll
        for (u32 s = 0; s < STEPS; s++) {
            if (column_of(s) >= width) break;
            float *x = sum[s];
#pragma unroll
            for (u32 i = 0; i < LANE_ELEMENTS; i++) x[i] = __fdiv_rn(x[i], count);
            row.x[s] = make_uint4(half_pair(x[0], x[1]), half_pair(x[2], x[3]), half_pair(x[4], x[5]),
                                  half_pair(x[6], x[7]));
        }
        return total;
    }

    // Where a token is: its row of patches, or for axis 1 its column.
    DEVICE float position(u32 of, u32 axis) const {
        if (p.positions) return p.positions[2 * (blockIdx.y * p.tokens + of) + axis];
        if (of < p.prefix) return 0.0f;
        u32 patch = of - p.prefix;
        return (float)(axis ? patch % p.side : patch / p.side);
    }

    // Where the output token is, `total` its size: the same mean.
    DEVICE float mean_position(u32 total, u32 axis) const {
        float own = position(token, axis);
        u32 size_of_own = size(token);
        if (total == size_of_own) return own;
        float sum = __fmul_rn((float)size_of_own, own);
        each_that_joins([&](u32 other) { sum = __fmaf_rn((float)size(other), position(other, axis), sum); });
        return __fdiv_rn(sum, (float)total);
    }
};

// Rows of at most STEPS times 256 elements, or if they are WIDE ones, of any number.
template <u32 STEPS>
DEVICE void merge_and_normalize(const MergeNormParams &p) {
    __shared__ Matching matching;
    __shared__ Affine<STEPS> affine;
    bool in_registers = STEPS < WIDE || Row<STEPS>::fits(p.norm);
    if (in_registers) affine.start(p.norm);
    u32 sources = p.sources(), kept = p.tokens - p.merged;
    matching.load(p, sources);
    prefetch(p.next);
    u32 index = blockIdx.x * WARPS + warp_id();
    bool idle = index >= kept;
    if (idle) index = kept - 1; // and writes nothing
    Merging<STEPS> merging(p, matching, sources, index);
    u32 at = blockIdx.y * kept + index, total;
    u16 *merged = p.merged_residual + (u64)at * p.norm.width;
    Row<STEPS> row;
    for (u32 start = 0; start < p.norm.width; start += STEPS * ROW_STEP) {
        u32 width = min(p.norm.width - start, STEPS * ROW_STEP);
        total = merging.join(row, start, width);
        if (!idle) row.store(merged + start, width);
    }
    if (!idle && lane_id() == 0) p.merged_sizes[at] = total;
    if (!idle && p.merged_positions) {
        float position = merging.mean_position(total, lane_id() % 2);
        if (lane_id() < 2) p.merged_positions[2 * at + lane_id()] = position;
    }
    Bytes normed{p.normed + (u64)at * p.norm.width};
    if (in_registers) {
        Measured<STEPS> measured(row, p.norm);
        affine.finish();
        if (!idle) measured.write(p.norm, affine, normed);
    } else if (!idle) {
        normalize_in_memory(merged, p.norm, normed);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 6) merge_norm_narrow(PARAMS(MergeNormParams) p) {
    merge_and_normalize<NARROW>(p);
}

extern "C" __global__ void __launch_bounds__(THREADS) merge_norm_wide(PARAMS(MergeNormParams) p) {
    merge_and_normalize<WIDE>(p);
}
