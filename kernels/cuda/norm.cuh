// The norm of one row by one warp, summed in the order of the contract (`kernels/NUMERICS.md`, rule 3).
//
// Of every 256 elements a lane holds 8 neighbours, so that accumulator 8 l + e is lane l's e-th: the upper
// levels of the tree are exchanges between lanes, the lower ones are between a lane's own eight.
//
// A row that fits is read once and stays in registers. Longer ones, and those with elements that do not count, are
// read from memory by each pass, in the same order.
#pragma once
#include "numerics.cuh"

constexpr u32 LANE_ELEMENTS = 8;
constexpr u32 ROW_STEP = WARP * LANE_ELEMENTS;
constexpr u32 REGISTER_WIDTH = 2048;
constexpr u32 ROW_STEPS = REGISTER_WIDTH / ROW_STEP;

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

// Eight neighbouring halves as floats.
DEVICE void to_floats(const uint4 &halves, float (&out)[LANE_ELEMENTS]) {
    const u32 pair[4] = {halves.x, halves.y, halves.z, halves.w};
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        out[2 * i] = low_half(pair[i]);
        out[2 * i + 1] = high_half(pair[i]);
    }
}

// A row of at most REGISTER_WIDTH halves in a warp's registers. Element 256 s + 8 l + e is half e of lane l's x[s].
struct Row {
    uint4 x[ROW_STEPS];

    // The first column that this lane holds of step s.
    static DEVICE u32 column(u32 step) { return step * ROW_STEP + lane_id() * LANE_ELEMENTS; }

    DEVICE void load(const u16 *row, u32 width) {
#pragma unroll
        for (u32 s = 0; s < ROW_STEPS; s++)
            x[s] = column(s) < width ? *(const uint4 *)(row + column(s)) : make_uint4(0, 0, 0, 0);
    }

    DEVICE void store(u16 *row, u32 width) const {
#pragma unroll
        for (u32 s = 0; s < ROW_STEPS; s++)
            if (column(s) < width) *(uint4 *)(row + column(s)) = x[s];
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
struct Values {
    float x[ROW_STEPS][LANE_ELEMENTS];

    DEVICE Values(const Row &row, u32 width) {
#pragma unroll
        for (u32 s = 0; s < ROW_STEPS; s++) {
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
    DEVICE Normalizer(const Values &row, const NormParams &p) {
        if (p.kind == NONE) return;
        float sums[LANE_ELEMENTS] = {};
        if (p.kind == LAYER) {
#pragma unroll
            for (u32 s = 0; s < ROW_STEPS; s++) {
                if (s * ROW_STEP >= p.width) break;
#pragma unroll
                for (u32 i = 0; i < LANE_ELEMENTS; i++) sums[i] = __fadd_rn(sums[i], row.x[s][i]);
            }
            mean = __fdiv_rn(tree_sum(sums), (float)p.count);
#pragma unroll
            for (u32 i = 0; i < LANE_ELEMENTS; i++) sums[i] = 0.0f;
        }
#pragma unroll
        for (u32 s = 0; s < ROW_STEPS; s++) {
            if (s * ROW_STEP >= p.width) break;
#pragma unroll
            for (u32 i = 0; i < LANE_ELEMENTS; i++) {
                float d = __fsub_rn(row.x[s][i], mean);
                if (Row::column(s) < p.width) sums[i] = __fmaf_rn(d, d, sums[i]);
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

    // (x - mean) rstd gain + bias of the eight elements from `column` on.
    DEVICE void apply(const float (&x)[LANE_ELEMENTS], const NormParams &p, u32 column,
                      float (&y)[LANE_ELEMENTS]) const {
        float g[LANE_ELEMENTS], b[LANE_ELEMENTS];
#pragma unroll
        for (u32 i = 0; i < LANE_ELEMENTS; i += 4) {
            *(float4 *)(g + i) = *(const float4 *)(p.gain + column + i);
            *(float4 *)(b + i) = *(const float4 *)(p.bias + column + i);
        }
#pragma unroll
        for (u32 i = 0; i < LANE_ELEMENTS; i++)
            y[i] = __fmaf_rn(__fmul_rn(__fsub_rn(x[i], mean), rstd), g[i], b[i]);
    }

private:
    // The tree's sum over the first `count` elements of a row in memory: `step(sum, x)` adds one.
    template <typename Step>
    static DEVICE float tree_sum_of(const u16 *row, u32 count, const Step &step) {
        float sums[LANE_ELEMENTS] = {};
#pragma unroll 4
        for (u32 column = Row::column(0); column < count; column += ROW_STEP) {
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

// Normalizes a row in registers, all of which counts, to `out`.
template <typename Out>
DEVICE void normalize(const Row &row, const NormParams &p, const Out &out) {
    Values values(row, p.width);
    Normalizer norm(values, p);
#pragma unroll
    for (u32 s = 0; s < ROW_STEPS; s++) {
        u32 column = Row::column(s);
        if (column >= p.width) break;
        float y[LANE_ELEMENTS];
        norm.apply(values.x[s], p, column, y);
        out.write(column, y);
    }
}

// Normalizes a row in memory, of any width, to `out`. This warp may itself have written the row by `Row::store` or
// in the same order of columns: each lane reads what it would have stored.
template <typename Out>
DEVICE void normalize_in_memory(const u16 *row, const NormParams &p, const Out &out) {
    Normalizer norm(row, p);
#pragma unroll 2
    for (u32 column = Row::column(0); column < p.width; column += ROW_STEP) {
        float x[LANE_ELEMENTS], y[LANE_ELEMENTS];
        to_floats(*(const uint4 *)(row + column), x);
        norm.apply(x, p, column, y);
        out.write(column, y);
    }
}

// Whether `normalize` can take rows.
DEVICE bool fits_registers(const NormParams &p) { return p.width <= REGISTER_WIDTH && p.count == p.width; }

// Normalizes a row in memory to `out`, through registers where they hold it.
template <typename Out>
DEVICE void normalize(const u16 *row, const NormParams &p, const Out &out) {
    if (!fits_registers(p)) return normalize_in_memory(row, p, out);
    Row registers;
    registers.load(row, p.width);
    normalize(registers, p, out);
}
