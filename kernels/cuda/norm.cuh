// The norm of one row by one warp, summed in the order of the contract (`kernels/NUMERICS.md`, rule 3).
//
// Of every 256 elements a lane holds 8 neighbours, so that accumulator 8 l + e is lane l's e-th: the upper
// levels of the tree are exchanges between lanes, the lower ones are between a lane's own eight.
//
// A row that fits is read once and stays in registers. Longer ones, and those with elements that do not count, are
// read from memory by each pass, in the same order. What holds rows is made for rows of STEPS times 256 elements: kernels
// for few steps take few registers, so that all their warps are on the SMs at once.
#pragma once
#include "numerics.cuh"
#include "tensor.cuh"

constexpr u32 LANE_ELEMENTS = 8;
constexpr u32 ROW_STEP = WARP * LANE_ELEMENTS;
// Of narrow rows and of wide ones.
constexpr u32 NARROW = 1024 / ROW_STEP, WIDE = 2048 / ROW_STEP;

// What a row is normalized by: mean and deviation, root mean square, or nothing.
enum NormKind { LAYER, RMS, NONE };

struct NormParams {
    const float *gain; // (L)
    const float *bias; // (L)
    u32 width;         // L, a multiple of 64
    u32 count;         // elements that take part in the sums; at most L
    u32 kind;          // a NormKind
    float epsilon;
};

// The first column that this lane holds of a step.
DEVICE u32 column_of(u32 step) { return step * ROW_STEP + lane_id() * LANE_ELEMENTS; }

// Eight neighbouring halves as floats.
DEVICE void to_floats(const uint4 &halves, float (&out)[LANE_ELEMENTS]) {
    const u32 pair[4] = {halves.x, halves.y, halves.z, halves.w};
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        out[2 * i] = low_half(pair[i]);
        out[2 * i + 1] = high_half(pair[i]);
    }
}

// A row of at most STEPS * ROW_STEP halves in a warp's registers. Element 256 s + 8 l + e is half e of lane l's x[s].
template <u32 STEPS>
struct Row {
    uint4 x[STEPS];

    // Whether it can hold all rows, and all of them counts.
    static DEVICE bool fits(const NormParams &p) { return p.width <= STEPS * ROW_STEP && p.count == p.width; }

    DEVICE void load(const u16 *row, u32 width) {
#pragma unroll
        for (u32 s = 0; s < STEPS; s++)
            x[s] = column_of(s) < width ? *(const uint4 *)(row + column_of(s)) : make_uint4(0, 0, 0, 0);
    }

    DEVICE void store(u16 *row, u32 width) const {
#pragma unroll
        for (u32 s = 0; s < STEPS; s++)
            if (column_of(s) < width) *(uint4 *)(row + column_of(s)) = x[s];
    }

    DEVICE void floats(u32 step, float (&out)[LANE_ELEMENTS]) const { to_floats(x[step], out); }
};

// Half of the values to the lane across, and the sums of the other half back: N values become N / 2.
template <u32 N>
DEVICE void fold(float (&v)[LANE_ELEMENTS], u32 across) {
    bool upper = lane_id() & across;
#pragma unroll
    for (u32 i = 0; i < N / 2; i++) {
        float kept = upper ? v[i + N / 2] : v[i];
        float sent = upper ? v[i] : v[i + N / 2];
        v[i] = __fadd_rn(kept, __shfl_xor_sync(ALL, sent, across));
    }
}

// Accumulator j takes j + 128, then j + 64, ... then j + 1. Every lane gets the sum.
//
// After the first three levels each lane holds one of the eight elements of its group of lanes, chosen by
// its upper three bits; the last three levels are then exchanges across the same bits.
DEVICE float tree_sum(float (&v)[LANE_ELEMENTS]) {
    fold<8>(v, 16);
    fold<4>(v, 8);
    fold<2>(v, 4);
    float sum = v[0];
    const u32 across[5] = {2, 1, 16, 8, 4};
#pragma unroll
    for (u32 i = 0; i < 5; i++) sum = __fadd_rn(sum, __shfl_xor_sync(ALL, sum, across[i]));
    return sum;
}

// A row as floats, converted once; steps beyond the width hold nothing.
template <u32 STEPS>
struct Values {
    float x[STEPS][LANE_ELEMENTS];

    DEVICE Values(const Row<STEPS> &row, u32 width) {
#pragma unroll
        for (u32 s = 0; s < STEPS; s++) {
            if (s * ROW_STEP >= width) break;
            row.floats(s, x[s]);
        }
    }
};

// What makes of a row's elements what they are before gain and bias. Without a norm that leaves them as they are.
struct Normalizer {
    float mean = 0.0f, rstd = 1.0f;

    DEVICE void set_rstd(float squares, const NormParams &p) {
        float variance = __fdiv_rn(squares, (float)p.count);
        rstd = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(variance, p.epsilon)));
    }

    // Of a row in registers, all of which counts.
    template <u32 STEPS>
    DEVICE Normalizer(const Values<STEPS> &row, const NormParams &p) {
        if (p.kind == NONE) return;
        float sums[LANE_ELEMENTS] = {};
        if (p.kind == LAYER) {
#pragma unroll
            for (u32 s = 0; s < STEPS; s++) {
                if (s * ROW_STEP >= p.width) break;
#pragma unroll
                for (u32 i = 0; i < LANE_ELEMENTS; i++) sums[i] = __fadd_rn(sums[i], row.x[s][i]);
            }
            mean = __fdiv_rn(tree_sum(sums), (float)p.count);
#pragma unroll
            for (u32 i = 0; i < LANE_ELEMENTS; i++) sums[i] = 0.0f;
        }
#pragma unroll
        for (u32 s = 0; s < STEPS; s++) {
            if (s * ROW_STEP >= p.width) break;
#pragma unroll
            for (u32 i = 0; i < LANE_ELEMENTS; i++) {
                float d = __fsub_rn(row.x[s][i], mean);
                if (column_of(s) < p.width) sums[i] = __fmaf_rn(d, d, sums[i]);
            }
        }
        set_rstd(tree_sum(sums), p);
    }

    // Of a row in memory.
    DEVICE Normalizer(const u16 *row, const NormParams &p) {
        if (p.kind == NONE) return;
        if (p.kind == LAYER) {
            float sum = tree_sum_of(row, p.count, [](float sum, float x) { return __fadd_rn(sum, x); });
            mean = __fdiv_rn(sum, (float)p.count);
        }
        float m = mean;
        set_rstd(tree_sum_of(row, p.count, [m](float sum, float x) {
            float d = __fsub_rn(x, m);
            return __fmaf_rn(d, d, sum);
        }), p);
    }

    // (x - mean) rstd gain + bias of eight elements.
    DEVICE void apply(const float (&x)[LANE_ELEMENTS], const float (&gain)[LANE_ELEMENTS],
                      const float (&bias)[LANE_ELEMENTS], float (&y)[LANE_ELEMENTS]) const {
#pragma unroll
        for (u32 i = 0; i < LANE_ELEMENTS; i++)
            y[i] = __fmaf_rn(__fmul_rn(__fsub_rn(x[i], mean), rstd), gain[i], bias[i]);
    }

private:
    // The tree's sum over the first `count` elements of a row in memory: `step(sum, x)` adds one.
    template <typename Step>
    static DEVICE float tree_sum_of(const u16 *row, u32 count, const Step &step) {
        float sums[LANE_ELEMENTS] = {};
#pragma unroll 4
        for (u32 column = column_of(0); column < count; column += ROW_STEP) {
            float x[LANE_ELEMENTS];
            to_floats(*(const uint4 *)(row + column), x);
            u32 left = count - column;
#pragma unroll
            for (u32 i = 0; i < LANE_ELEMENTS; i++)
                if (i < left) sums[i] = step(sums[i], x[i]);
        }
        return tree_sum(sums);
    }
};

// A normalized row quantized to 8 bits.
struct Bytes {
    i8 *row;

    DEVICE void write(u32 column, const float (&y)[LANE_ELEMENTS]) const {
        u32 q[LANE_ELEMENTS];
#pragma unroll
        for (u32 i = 0; i < LANE_ELEMENTS; i++) q[i] = sat8(y[i]);
        *(uint2 *)(row + column) = make_uint2(pack4(q[0], q[1], q[2], q[3]), pack4(q[4], q[5], q[6], q[7]));
    }
};

// A normalized row in f16.
struct Halves {
    u16 *row;

    DEVICE void write(u32 column, const float (&y)[LANE_ELEMENTS]) const {
        *(uint4 *)(row + column) = make_uint4(half_pair(y[0], y[1]), half_pair(y[2], y[3]),
                                              half_pair(y[4], y[5]), half_pair(y[6], y[7]));
    }
};

// Gain or bias of rows of at most STEPS * ROW_STEP elements in shared memory. A lane's eight elements of a step are two
// fours, `[step][which four][lane]`, so that a warp reads neighbours.
template <u32 STEPS>
struct Vector {
    float4 four[STEPS][2][WARP];

    // All threads of the block together start to copy.
    DEVICE void start(const float *from, u32 width) {
        for (u32 i = threadIdx.x; 4 * i < width; i += blockDim.x)
            copy_async_16(shared_address(&four[i / (2 * WARP)][i % 2][i / 2 % WARP]), from + 4 * i, true);
    }

    DEVICE void get(u32 step, float (&eight)[LANE_ELEMENTS]) const {
        *(float4 *)eight = four[step][0][lane_id()];
        *(float4 *)(eight + 4) = four[step][1][lane_id()];
    }
};

// Gain and bias of the rows that a block normalizes: on their way to shared memory while rows are read and summed up.
template <u32 STEPS>
struct Affine {
    Vector<STEPS> gain, bias;

    DEVICE void start(const NormParams &p) {
        gain.start(p.gain, p.width);
        bias.start(p.bias, p.width);
        copy_async_commit();
    }

    // For all threads of the block.
    DEVICE void finish() const {
        copy_async_wait<0>();
        __syncthreads();
    }
};

// A row in registers, all of which counts, with its mean and deviation.
template <u32 STEPS>
struct Measured {
    Values<STEPS> values;
    Normalizer norm;

    DEVICE Measured(const Row<STEPS> &row, const NormParams &p) : values(row, p.width), norm(values, p) {}

    // Writes the normalized row. Gain and bias have come.
    template <typename Out>
    DEVICE void write(const NormParams &p, const Affine<STEPS> &affine, const Out &out) const {
#pragma unroll
        for (u32 s = 0; s < STEPS; s++) {
            u32 column = column_of(s);
            if (column >= p.width) break;
            float gain[LANE_ELEMENTS], bias[LANE_ELEMENTS], y[LANE_ELEMENTS];
            affine.gain.get(s, gain);
            affine.bias.get(s, bias);
            norm.apply(values.x[s], gain, bias, y);
            out.write(column, y);
        }
    }
};

// Normalizes a row in memory, of any width, to `out`. This warp may itself have written the row by `Row::store` or
// in the same order of columns: each lane reads what it would have stored.
template <typename Out>
DEVICE void normalize_in_memory(const u16 *row, const NormParams &p, const Out &out) {
    Normalizer norm(row, p);
#pragma unroll 2
    for (u32 column = column_of(0); column < p.width; column += ROW_STEP) {
        float x[LANE_ELEMENTS], gain[LANE_ELEMENTS], bias[LANE_ELEMENTS], y[LANE_ELEMENTS];
        to_floats(*(const uint4 *)(row + column), x);
#pragma unroll
        for (u32 i = 0; i < LANE_ELEMENTS; i += 4) {
            *(float4 *)(gain + i) = *(const float4 *)(p.gain + column + i);
            *(float4 *)(bias + i) = *(const float4 *)(p.bias + column + i);
        }
        norm.apply(x, gain, bias, y);
        out.write(column, y);
    }
}
