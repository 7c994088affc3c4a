// Rows of D bytes in shared memory, one a token: what heads of D channels are multiplied from.
#pragma once
#include "tensor.cuh"

// `ldmatrix` reads one chunk of eight rows at a time. Rows take the same banks again after PERIOD of them: from
// then on chunks are permuted, so that those eight lie in different banks.
template <u32 D>
struct Rows {
    static_assert(D == 32 || D == 64 || D == 96 || D == 128, "a width that heads have");
    static constexpr u32 CHUNKS = D / CHUNK;
    static constexpr u32 PERIOD = D == 128 ? 1 : D == 64 ? 2 : 4;

    static DEVICE u32 swizzle(u32 row) { return row / PERIOD % (8 / PERIOD); }
    static DEVICE u32 place(u32 row, u32 chunk) { return row * D + (chunk ^ swizzle(row)) * CHUNK; }
};

// Reads eight rows at a time as B fragments of all D / 32 steps of the inner dimension.
template <u32 D>
struct RowReader {
    static constexpr u32 LOADS = ceil_div(D, 64);
    u32 at[LOADS]; // this lane's `ldmatrix` addresses for the first eight rows

    DEVICE explicit RowReader(u32 shared) {
        u32 lane = lane_id();
#pragma unroll
        for (u32 i = 0; i < LOADS; i++) {
            u32 left = Rows<D>::CHUNKS - 4 * i;
            at[i] = shared + Rows<D>::place(lane % 8, 4 * i + lane / 8 % (left < 4 ? left : 4));
        }
    }

    // By a multiple of 8.
    DEVICE void advance(u32 rows) {
#pragma unroll
        for (u32 i = 0; i < LOADS; i++) at[i] += rows * D;
    }

    // Rows from `row` on, a multiple of 8.
    DEVICE void get(u32 row, u32 (&fragment)[D / 32][2]) const {
#pragma unroll
        for (u32 i = 0; i < LOADS; i++) {
            u32 from = at[i] + row * D, r[4];
            if (D - 64 * i < 64) {
                load_matrices(fragment[2 * i], from);
                continue;
            }
            load_matrices(r, from);
#pragma unroll
            for (u32 k = 0; k < 4; k++) fragment[2 * i + k / 2][k % 2] = r[k];
        }
    }
};

// Reads 32 rows at a time, 16 channels of each, transposed.
template <u32 D>
struct ColumnReader {
    u32 first; // this lane's `ldmatrix` address for the first chunk of the first 32 rows

    // Rows start at a multiple of D bytes.
    DEVICE explicit ColumnReader(u32 shared) : first(shared + Rows<D>::place(lane_id(), 0)) {}

    // A permutation changes only the lowest bits of a chunk's number, and those of the address are the chunk's alone.
    DEVICE u32 at(u32 chunk) const {
        constexpr u32 PERMUTED = 8 / Rows<D>::PERIOD;
        return (first ^ chunk % PERMUTED * CHUNK) + chunk / PERMUTED * PERMUTED * CHUNK;
    }

    // By a multiple of 8.
    DEVICE void advance(u32 rows) { first += rows * D; }
};
