// Which part of a linear layer's product a block computes at a time, and how its warps share it.
//
// Weights lie in an order of their own (gemm/weights.rs): a step of K for 32 output columns is one piece of 2 KB, in which
// a lane's operands are together. Each lane gets eight neighbouring output columns: column 2q + e of the f-th 8-column
// fragment is output column 8q + 2f + e of 32. Which weight row stands for which column of a fragment is ours to choose,
// and so no shuffle or staging is needed before 8 and 16 byte stores.
//
// A warp of the two larger tiles computes all of the tile's rows for 32 columns: it reads less shared memory for each
// product than a squarer one of as many registers would leave to the block. Of the last rows' tiles, warps skip groups
// of 16 rows that are all beyond M: with M = 197 that is a fifth of the work of tiles 128 high. Warps are numbered along
// the columns, so that no scheduler (warps modulo four) has only such rows.
#pragma once
#include "gemm_epilogue.cuh"
#include "tensor.cuh"

constexpr u32 STEP = ROW_BYTES;           // bytes of K a step
constexpr u32 PANEL = 32;                 // output columns whose weights lie together
constexpr u32 PANEL_BYTES = PANEL * STEP; // of a step

// ROWS_ x COLUMNS_ tiles of WARP_ROWS_ x WARP_COLUMNS_ warp tiles, with STAGES_ steps of K in shared memory.
template <u32 ROWS_, u32 COLUMNS_, u32 WARP_ROWS_, u32 WARP_COLUMNS_, u32 STAGES_>
struct Tile {
    static constexpr u32 ROWS = ROWS_, COLUMNS = COLUMNS_, STAGES = STAGES_;
    static constexpr u32 WARP_ROWS = WARP_ROWS_, WARP_COLUMNS = WARP_COLUMNS_;
    static constexpr u32 THREADS = (ROWS / WARP_ROWS) * (COLUMNS / WARP_COLUMNS) * WARP;
    static constexpr u32 STAGE_BYTES = (ROWS + COLUMNS) * STEP;
    static constexpr u32 RING_BYTES = STAGES * STAGE_BYTES;
    static constexpr u32 MI = WARP_ROWS / 16;
    static constexpr u32 NI = WARP_COLUMNS / PANEL;

    typedef i32 Sums[MI][NI][4][4]; // [16 rows][32 columns][8-column fragment][the lane's four]

    // Where a thread's warp tile lies: none but rows of warps where there is one warp only.
    static DEVICE u32 warp_row(u32 thread) { return ROWS == WARP_ROWS ? 0 : thread / WARP / (COLUMNS / WARP_COLUMNS); }
    static DEVICE u32 warp_column(u32 thread) { return thread / WARP % (COLUMNS / WARP_COLUMNS); }

    // Whether one of a warp's groups of 16 rows holds rows of the input: the first `live` ones do. A warp that has all of
    // the block's rows has at least one.
    static DEVICE bool is_live(u32 mi, u32 live) { return (WARP_ROWS == ROWS && mi == 0) || mi < live; }

    static DEVICE u32 down(const GemmParams &p) { return ceil_div(p.rows, ROWS); }
    static DEVICE u32 across(const GemmParams &p) { return p.outputs / COLUMNS; }
};

// One part of K of a tile. A launch's are numbered along the rows, then the columns, then the parts: those that blocks
// compute at a time share weights, which memory delivers once.
template <typename T>
struct Item {
    u32 m0, n0;             // first row and column
    u32 part, first, steps; // of K: which part, from which step on, how many

    static DEVICE u32 count(const GemmParams &p) { return T::down(p) * T::across(p) * p.splits; }

    DEVICE Item(const GemmParams &p, u32 index) : part(0), first(0), steps(p.inputs / STEP) {
        u32 column = index / T::down(p);
        m0 = (index - column * T::down(p)) * T::ROWS;
        if (p.splits > 1) {
            // The first parts are longer by a step where they cannot all be the same.
            u32 least = steps / p.splits, longer = steps - least * p.splits;
            part = column / T::across(p), column -= part * T::across(p);
            first = part * least + min(part, longer);
            steps = least + (part < longer);
        }
        n0 = column * T::COLUMNS;
    }

    DEVICE u32 tile(const GemmParams &p) const { return n0 / T::COLUMNS * T::down(p) + m0 / T::ROWS; }
};
