// What a linear layer makes of its sums, eight neighbouring columns of a row at a time: `GemmParams`, and an epilogue
// for each module.
//
// Of a gated MLP's eight columns, four are gates and four are values: gates are in even columns. Neighbours that rotate
// as a pair are together as well. So no lane needs what another has.
#pragma once
#include "numerics.cuh"

struct GemmParams {
    const i8 *input;       // (M, K)
    const i8 *weights;     // (N, K), in the order of gemm/weights.rs
    const float *scale;    // (N)
    const float *bias;     // (N)
    void *output;          // (M, N) i8, half as many columns of i8 or f16, or the residual stream f16
    const float *position; // embed: (T, N), or null where none are added
    const float *rotation; // rotate: (M, R D), cosine and sine of each pair of columns
    u32 *sizes;            // embed: (B, T), set to 1, or null
    int4 *partial;         // splits > 1: (tiles, splits, BM x BN) sums in the lanes' own order
    u32 *arrived;          // items drawn, then, if splits > 1, arrivals: (1 + tiles), zero before and after
    const float *steps;    // activate: (2, N), one over each column's step, then its zero point
    u32 rows;              // M
    u32 outputs;           // N
    u32 inputs;            // K
    u32 batch;             // embed: B
    u32 patches;           // embed: rows of an image
    u32 prefix;            // embed: P, rows of an image before its patches
    u32 rotated;           // rotate: 2 A, columns of queries and keys
    u32 rotation_row;      // rotate: R D
    u32 halves;            // gate: 1 for f16, 0 for i8
    Activation activation; // activate, gate
    u32 splits;            // parts of K
};

enum Epilogue { REQUANTIZE, ROTATE, ACTIVATE, GATE, RESIDUAL, EMBED };

// What an epilogue reads for eight neighbouring outputs: fetched for several rows together, before the first is needed.
template <Epilogue E>
struct Beside {
    DEVICE void fetch(const GemmParams &, u32, u32) {}
};

// Rows of a lane that it reads for at a time: so many that it all fits beside the sums.
template <Epilogue E>
constexpr u32 AT_A_TIME = sizeof(Beside<E>) > 16 ? 4 : 8;

// The residual stream: pairs of f16.
template <>
struct Beside<RESIDUAL> {
    u32 pair[4];
    DEVICE void fetch(const GemmParams &p, u32 row, u32 column) {
        load_words(pair, (const u16 *)p.output + (u64)row * p.outputs + column);
    }
};

// Cosines and sines of four pairs of columns. Of the table's row, they are at the same place in each head, or in each of
// queries and keys.
template <>
struct Beside<ROTATE> {
    float turn[8];
    DEVICE void fetch(const GemmParams &p, u32 row, u32 column) {
        if (column < p.rotated) load_constants(turn, p.rotation + (u64)row * p.rotation_row + column % p.rotation_row);
    }
};

// A patch's row of the residual stream: behind its image's prefix, and those of the images before.
DEVICE u32 embedded(const GemmParams &p, u32 row) { return row + (row / p.patches + 1) * p.prefix; }

// The position of a patch.
template <>
struct Beside<EMBED> {
    float position[8];
    DEVICE void fetch(const GemmParams &p, u32 row, u32 column) {
        if (!p.position) return;
        load_constants(position, p.position + (u64)(embedded(p, row) % (p.patches + p.prefix)) * p.outputs + column);
    }
};

// Eight neighbouring outputs quantized to 8 bits.
DEVICE void store_bytes(const GemmParams &p, const float (&y)[8], u32 row, u32 column) {
    u32 q[8];
#pragma unroll
    for (u32 i = 0; i < 8; i++) q[i] = sat8(y[i]);
    uint2 bytes = make_uint2(pack4(q[0], q[1], q[2], q[3]), pack4(q[4], q[5], q[6], q[7]));
    *(uint2 *)((i8 *)p.output + (u64)row * p.outputs + column) = bytes;
}

// Turns four pairs of a query's or a key's columns.
DEVICE void rotate(const GemmParams &p, float (&y)[8], const float (&turn)[8], u32 column) {
    if (column >= p.rotated) return;
#pragma unroll
    for (u32 i = 0; i < 8; i += 2) {
        float a = y[i], b = y[i + 1];
        y[i] = __fmaf_rn(a, turn[i], -__fmul_rn(b, turn[i + 1]));
        y[i + 1] = __fmaf_rn(b, turn[i], __fmul_rn(a, turn[i + 1]));
    }
}

// Four gates times four values.
DEVICE void gate(const GemmParams &p, const float (&y)[8], u32 row, u32 column) {
    float x[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++) x[i] = __fmul_rn(activate(p.activation, y[2 * i]), y[2 * i + 1]);
    u64 at = ((u64)row * p.outputs + column) / 2;
    if (p.halves)
        *(uint2 *)((u16 *)p.output + at) = make_uint2(half_pair(x[0], x[1]), half_pair(x[2], x[3]));
    else
        *(u32 *)((i8 *)p.output + at) = pack4(sat8(x[0]), sat8(x[1]), sat8(x[2]), sat8(x[3]));
}

// Eight neighbouring outputs in f16.
DEVICE void store_halves(const GemmParams &p, const float (&y)[8], u64 row, u32 column) {
    *(uint4 *)((u16 *)p.output + row * p.outputs + column) = make_uint4(
        half_pair(y[0], y[1]), half_pair(y[2], y[3]), half_pair(y[4], y[5]), half_pair(y[6], y[7]));
}

// What the patch embedding writes beside its rows: those of the prefix, of `columns` columns from n0 on, and a size
// of 1 for every token. The `tiles` tiles of these columns share it.
template <u32 THREADS>
DEVICE void start_tokens(const GemmParams &p, u32 tile, u32 tiles, u32 n0, u32 columns) {
    u32 tokens = p.patches + p.prefix, first = tile * THREADS + threadIdx.x, step = tiles * THREADS;
    for (u32 i = first; i < p.batch * p.prefix * columns; i += step) {
        u32 row = i / columns, column = n0 + i % columns, image = row / p.prefix, token = row % p.prefix;
        ((u16 *)p.output)[(u64)(image * tokens + token) * p.outputs + column] =
            float_to_half(p.position[(u64)token * p.outputs + column]);
    }
    if (p.sizes && n0 == 0)
        for (u32 i = first; i < p.batch * tokens; i += step) p.sizes[i] = 1;
}

// Eight neighbouring outputs of one row.
template <Epilogue E>
DEVICE void finish(const GemmParams &p, float (&y)[8], const Beside<E> &beside, u32 row, u32 column) {
    if constexpr (E == ROTATE) rotate(p, y, beside.turn, column);
    float inverse[8], zero[8];
    if constexpr (E == ACTIVATE) {
        load_constants(inverse, p.steps + column);
        load_constants(zero, p.steps + p.outputs + column);
    }
#pragma unroll
    for (u32 i = 0; i < 8; i++) {
        if constexpr (E == ACTIVATE) y[i] = __fmaf_rn(activate(p.activation, y[i]), inverse[i], zero[i]);
        if constexpr (E == RESIDUAL) {
            u32 pair = beside.pair[i / 2];
            y[i] = __fadd_rn(i % 2 ? high_half(pair) : low_half(pair), y[i]);
        }
        if constexpr (E == EMBED)
            if (p.position) y[i] = __fadd_rn(y[i], beside.position[i]);
    }
    if constexpr (E == GATE)
        gate(p, y, row, column);
    else if constexpr (E == RESIDUAL)
        store_halves(p, y, row, column);
    else if constexpr (E == EMBED)
        store_halves(p, y, embedded(p, row), column);
    else
        store_bytes(p, y, row, column);
}
