// Layer norm of one row by one warp, summed in the order of the contract (`kernels/NUMERICS.md`, rule 3).
//
// Of every 256 elements a lane holds 8 neighbours, so that accumulator 8 l + e is lane l's e-th: the upper
// levels of the tree are exchanges between lanes, the lower ones are between a lane's own eight.
#pragma once
#include "numerics.cuh"

constexpr u32 LANE_ELEMENTS = 8;
constexpr u32 ROW_STEP = WARP * LANE_ELEMENTS;
constexpr u32 MAX_WIDTH = 2048;
constexpr u32 ROW_STEPS = MAX_WIDTH / ROW_STEP;

// A row of at most MAX_WIDTH halves in a warp's registers. Element 256 s + 8 l + e is half e of lane l's x[s].
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

    DEVICE void floats(u32 step, float (&out)[LANE_ELEMENTS]) const {
        const u32 pair[4] = {x[step].x, x[step].y, x[step].z, x[step].w};
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            out[2 * i] = low_half(pair[i]);
            out[2 * i + 1] = high_half(pair[i]);
        }
    }
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

struct Normalizer {
    float mean, rstd;

    DEVICE Normalizer(const Values &row, u32 width, float epsilon) {
        float sums[LANE_ELEMENTS] = {};
#pragma unroll
        for (u32 s = 0; s < ROW_STEPS; s++) {
            if (s * ROW_STEP >= width) break;
#pragma unroll
            for (u32 i = 0; i < LANE_ELEMENTS; i++) sums[i] = __fadd_rn(sums[i], row.x[s][i]);
        }
        float count = (float)width;
        mean = __fdiv_rn(tree_sum(sums), count);
#pragma unroll
        for (u32 i = 0; i < LANE_ELEMENTS; i++) sums[i] = 0.0f;
#pragma unroll
        for (u32 s = 0; s < ROW_STEPS; s++) {
            if (s * ROW_STEP >= width) break;
#pragma unroll
            for (u32 i = 0; i < LANE_ELEMENTS; i++) {
                float d = __fsub_rn(row.x[s][i], mean);
                if (Row::column(s) < width) sums[i] = __fmaf_rn(d, d, sums[i]);
            }
        }
        float variance = __fdiv_rn(tree_sum(sums), count);
        rstd = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(variance, epsilon)));
    }

    // (x - mean) rstd gain + bias of the eight elements from `column` on.
    DEVICE void apply(const float (&x)[LANE_ELEMENTS], const float *gain, const float *bias, u32 column,
                      float (&y)[LANE_ELEMENTS]) const {
        float g[LANE_ELEMENTS], b[LANE_ELEMENTS];
#pragma unroll
        for (u32 i = 0; i < LANE_ELEMENTS; i += 4) {
            *(float4 *)(g + i) = *(const float4 *)(gain + column + i);
            *(float4 *)(b + i) = *(const float4 *)(bias + column + i);
        }
#pragma unroll
        for (u32 i = 0; i < LANE_ELEMENTS; i++)
            y[i] = __fmaf_rn(__fmul_rn(__fsub_rn(x[i], mean), rstd), g[i], b[i]);
    }
};

// Normalizes a row and writes it quantized to 8 bits.
DEVICE void normalize(const Row &row, u32 width, float epsilon, const float *gain, const float *bias, i8 *out) {
    Values values(row, width);
    Normalizer norm(values, width, epsilon);
#pragma unroll
    for (u32 s = 0; s < ROW_STEPS; s++) {
        u32 column = Row::column(s);
        if (column >= width) break;
        float y[LANE_ELEMENTS];
        norm.apply(values.x[s], gain, bias, column, y);
        u32 q[LANE_ELEMENTS];
#pragma unroll
        for (u32 i = 0; i < LANE_ELEMENTS; i++) q[i] = sat8(y[i]);
        *(uint2 *)(out + column) = make_uint2(pack4(q[0], q[1], q[2], q[3]), pack4(q[4], q[5], q[6], q[7]));
    }
}
