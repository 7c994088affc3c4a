// Linear layers: INT8 matrix product with a fused epilogue.
//
//   output (M, N) = epilogue(input (M, K) i8 * transpose of weights (N, K) i8), sums in i32
//
// K and N are multiples of 64; M is anything. A block computes a BM x BN tile over one of `splits` parts of K,
// in steps of 64 bytes that `cp.async` brings into a ring of STAGES tiles. With more than one part, each block
// leaves its sums in `partial`; the one that arrives last adds them (integers: any order gives the same bits)
// and runs the epilogue.
//
// Weights lie in an order of their own (gemm/weights.rs): a step of K for 32 output columns is one piece of 2 KB, in which
// a lane's operands are together. Each lane gets eight neighbouring output columns: column 2q + e of the f-th 8-column
// fragment is output column 8q + 2f + e of 32. Which weight row stands for which column of a fragment is ours to choose,
// and so no shuffle or staging is needed before 8 and 16 byte stores.
//
// A warp of the two larger tiles computes all of the tile's rows for 32 columns: it reads less shared memory for each
// product than a squarer one of as many registers would leave to the block. Of the last rows' blocks, warps skip groups
// of 16 rows that are all beyond M: with M = 197 that is a fifth of the work of tiles 128 high. Warps are numbered along
// the columns, so that no scheduler (warps modulo four) has only such rows.
//
// Bytes: (M + N) K read, M N (i8) or 4 M N (f16, read and written) moved; M N K multiply-accumulates.
// Orin Nano Super (8 SMs, 1.02 GHz, 16.7 T multiply-accumulates/s, 80 GB/s measured), ViT-B/16 at batch 1:
// qkv 197 x 2304 x 768 is 0.35 GMAC: 21 us of compute against 22 us of weights.
#pragma once
#include "arrival.cuh"
#include "gemm_epilogue.cuh"
#include "tensor.cuh"

constexpr u32 STEP = ROW_BYTES; // bytes of K a step
constexpr u32 PANEL = 32;                 // output columns whose weights lie together
constexpr u32 PANEL_BYTES = PANEL * STEP; // of a step

// BM x BN tiles of WM x WN warp tiles.
template <u32 BM, u32 BN, u32 WM, u32 WN, u32 STAGES>
struct Gemm {
    static constexpr u32 THREADS = (BM / WM) * (BN / WN) * WARP;
    static constexpr u32 STAGE_BYTES = (BM + BN) * STEP;
    static constexpr u32 MI = WM / 16;
    static constexpr u32 NI = WN / PANEL;
    static constexpr u32 TOGETHER = 2 * MI < 8 ? 2 * MI : 8; // rows of a lane that the epilogue reads for at a time
    static constexpr u32 LOAD_ROWS = THREADS / (STEP / CHUNK); // rows that all threads load together
    static constexpr u32 PANEL_WARPS = THREADS / WARP * PANEL / BN; // warps that load a panel together
    static_assert(BM % LOAD_ROWS == 0 && LOAD_ROWS % 8 == 0 && PANEL_WARPS > 0, "whole loads");
    static_assert(PANEL_BYTES % (PANEL_WARPS * WARP * CHUNK) == 0, "whole loads");

    // Where a warp's tile lies: none but rows of warps where there is one warp only.
    static DEVICE u32 warp_row() { return BM == WM ? 0 : warp_id() / (BN / WN); }
    static DEVICE u32 warp_column() { return warp_id() % (BN / WN); }

    typedef i32 Sums[MI][NI][4][4]; // [16 rows][32 columns][8-column fragment][the lane's four]

    // Where this thread's copies come from and go to.
    struct Loader {
        const i8 *a, *b;            // the block's rows and this thread's first weights, at the next step of K
        u32 a_from[BM / LOAD_ROWS]; // where this thread's chunks lie from there
        u32 a_shared, b_shared;

        DEVICE Loader(const GemmParams &p, u32 shared, u32 m0, u32 n0, u32 k0) {
            u32 row = threadIdx.x / (STEP / CHUNK), chunk = threadIdx.x % (STEP / CHUNK);
            a = p.input + (u64)m0 * p.inputs + k0;
            u32 panel = warp_id() / PANEL_WARPS, part = warp_id() % PANEL_WARPS;
            u32 within = part * (PANEL_BYTES / PANEL_WARPS) + lane_id() * CHUNK;
            b = p.weights + (u64)(n0 + panel * PANEL) * p.inputs + k0 * PANEL + within;
            // Beyond the last row, the last one again: nobody looks at what becomes of it.
#pragma unroll
            for (u32 i = 0; i < BM / LOAD_ROWS; i++)
                a_from[i] = min(i * LOAD_ROWS + row, p.rows - 1 - m0) * p.inputs + chunk * CHUNK;
            a_shared = shared + place(row, chunk);
            b_shared = shared + BM * STEP + panel * PANEL_BYTES + within;
        }

        // Copies one step of K to a stage, if there is one, and moves on to the next.
        DEVICE void load(u32 stage, bool wanted) {
#pragma unroll
            for (u32 i = 0; i < BM / LOAD_ROWS; i++)
                copy_async_16_if(wanted, a_shared + stage + i * LOAD_ROWS * STEP, a + a_from[i]);
#pragma unroll
            for (u32 i = 0; i < PANEL_BYTES / PANEL_WARPS; i += WARP * CHUNK)
                copy_async_16_if(wanted, b_shared + stage + i, b + i);
            a += STEP;
            b += PANEL_BYTES;
        }
    };

    // Whether one of a warp's groups of 16 rows holds rows of the input: the first `live` ones do. A warp that has all of
    // the block's rows has at least one.
    static DEVICE bool is_live(u32 mi, u32 live) { return (WM == BM && mi == 0) || mi < live; }

    // A warp's operands for 32 bytes of K, and the lane's addresses of the first ones.
    struct Fragments {
        u32 a[MI][4], b[2 * NI][4];

        DEVICE void load(u32 a_shared, u32 b_shared, u32 live) {
#pragma unroll
            for (u32 i = 0; i < 2 * NI; i++) load_shared(b[i], b_shared + i / 2 * PANEL_BYTES + i % 2 * WARP * CHUNK);
#pragma unroll
            for (u32 mi = 0; mi < MI; mi++)
                if (is_live(mi, live)) load_matrices(a[mi], a_shared + mi * 16 * STEP);
        }

        DEVICE void multiply(Sums &sums, u32 live) const {
#pragma unroll
            for (u32 mi = 0; mi < MI; mi++) {
                if (!is_live(mi, live)) break;
#pragma unroll
                for (u32 i = 0; i < 4 * NI; i++)
                    multiply_s8(sums[mi][i / 4][i % 4], a[mi], b[i / 2][i % 2 * 2], b[i / 2][i % 2 * 2 + 1]);
            }
        }
    };

    static DEVICE void main_loop(const GemmParams &p, Sums &sums, u32 shared, u32 m0, u32 n0) {
        u32 first = 0, steps = p.inputs / STEP;
        if (gridDim.z > 1) { // where it is one, no copy waits for divisions
            first = steps * blockIdx.z / gridDim.z;
            steps = steps * (blockIdx.z + 1) / gridDim.z - first;
        }
        Loader loader(p, shared, m0, n0, first * STEP);
#pragma unroll
        for (u32 s = 0; s < STAGES - 1; s++) {
            loader.load(s * STAGE_BYTES, s < steps);
            copy_async_commit();
        }
        u32 lane = lane_id(), wm = warp_row(), wn = warp_column();
        // A: matrices are rows 0..8 and 8..16 of the first chunk, then of the second.
        u32 a_row = wm * WM + lane % 16;
        u32 a = kept(shared + place(a_row, lane / 16)), a_odd = kept(a ^ (2 * CHUNK));
        u32 b = shared + BM * STEP + wn * NI * PANEL_BYTES + lane * CHUNK, b_odd = b + PANEL_BYTES / 2;
        u32 groups = ceil_div(p.rows - m0, 16), live = groups > wm * MI ? min(groups - wm * MI, MI) : 0;
        u32 read = 0, write = (STAGES - 1) * STAGE_BYTES;
        Fragments even, odd;
        copy_async_wait<STAGES - 2>();
        __syncthreads();
        even.load(a, b, live);
#pragma unroll 1
        for (u32 step = 0; step < steps; step++) {
            odd.load(a_odd + read, b_odd + read, live);
            loader.load(write, step + STAGES - 1 < steps);
            copy_async_commit();
            even.multiply(sums, live);
            copy_async_wait<STAGES - 2>();
            // All have read this stage and see the next one.
            __syncthreads();
            write = read;
            // After the last step there is no next one: it reads what it had again.
            if (step + 1 < steps) read = read + STAGE_BYTES == STAGES * STAGE_BYTES ? 0 : read + STAGE_BYTES;
            even.load(a + read, b + read, live);
            odd.multiply(sums, live);
        }
    }

    // Adds up the parts of K. Returns whether this block is the last of its tile, which then has the whole sum.
    // `before` is a word of the stages' shared memory, free by now.
    static DEVICE bool reduce(const GemmParams &p, Sums &sums, u32 *before) {
        if (gridDim.z == 1) return true;
        constexpr u32 VECTORS = MI * NI * 4;
        u32 tile = blockIdx.y * gridDim.x + blockIdx.x;
        int4 *parts = p.partial + (u64)tile * gridDim.z * VECTORS * THREADS + threadIdx.x;
        int4 *own = parts + (u64)blockIdx.z * VECTORS * THREADS;
#pragma unroll
        for (u32 i = 0; i < VECTORS; i++) {
            const i32(&s)[4] = sums[i / (4 * NI)][i / 4 % NI][i % 4];
            own[i * THREADS] = make_int4(s[0], s[1], s[2], s[3]);
        }
        if (!arrives_last(p.arrived + tile, gridDim.z, before)) return false;
        for (u32 z = 0; z < gridDim.z; z++) {
            if (z == blockIdx.z) continue;
            const int4 *other = parts + (u64)z * VECTORS * THREADS;
#pragma unroll
            for (u32 i = 0; i < VECTORS; i++) {
                i32(&s)[4] = sums[i / (4 * NI)][i / 4 % NI][i % 4];
                uint4 v = load_from_l2((const uint4 *)(other + i * THREADS));
                s[0] += (i32)v.x;
                s[1] += (i32)v.y;
                s[2] += (i32)v.z;
                s[3] += (i32)v.w;
            }
        }
        return true;
    }

    template <Epilogue E>
    static DEVICE void run(const GemmParams &p) {
        extern __shared__ __align__(128) u8 shared[];
        u32 m0 = blockIdx.x * BM, n0 = blockIdx.y * BN;
        Sums sums = {};
        main_loop(p, sums, shared_address(shared), m0, n0);
        if (!reduce(p, sums, (u32 *)shared)) return;
        if constexpr (E == EMBED) start_tokens<THREADS>(p, n0, BN);
        u32 lane = lane_id(), first = m0 + warp_row() * WM + lane / 4;
#pragma unroll
        for (u32 ni = 0; ni < NI; ni++) {
            u32 column = n0 + warp_column() * WN + ni * PANEL + 8 * (lane % 4);
            float scale[8], bias[8];
            load_floats(scale, p.scale + column);
            load_floats(bias, p.bias + column);
            // The compiler may not move a row's reads before another's write: together, they wait for L2 once.
#pragma unroll
            for (u32 i = 0; i < 2 * MI; i += TOGETHER) {
                Beside<E> beside[TOGETHER];
#pragma unroll
                for (u32 j = 0; j < TOGETHER; j++) {
                    u32 row = first + 8 * (i + j);
                    if (row < p.rows) beside[j].fetch(p, row, column);
                }
#pragma unroll
                for (u32 j = 0; j < TOGETHER; j++) {
                    u32 row = first + 8 * (i + j);
                    if (row >= p.rows) continue;
                    float y[8];
#pragma unroll
                    for (u32 c = 0; c < 8; c++)
                        y[c] = __fmaf_rn((float)sums[(i + j) / 2][ni][c / 2][j % 2 * 2 + c % 2], scale[c], bias[c]);
                    finish<E>(p, y, beside[j], row, column);
                }
            }
        }
    }
};

// Tile shapes. The number of blocks an SM should hold keeps the compiler within the registers for it.
typedef Gemm<128, 128, 128, 32, 4> Gemm128x128;
typedef Gemm<64, 128, 64, 32, 4> Gemm64x128;
typedef Gemm<64, 64, 32, 32, 5> Gemm64x64;
typedef Gemm<32, 64, 16, 32, 6> Gemm32x64;

#define GEMM(tile, epilogue, name, blocks)                                                                 \
    extern "C" __global__ void __launch_bounds__(Gemm##tile::THREADS, blocks)                              \
        gemm_##tile##_##name(PARAMS(GemmParams) p) {                                                       \
        Gemm##tile::run<epilogue>(p);                                                                      \
    }
#define GEMM_TILES(epilogue, name)                                                                         \
    GEMM(128x128, epilogue, name, 2)                                                                       \
    GEMM(64x128, epilogue, name, 3)                                                                        \
    GEMM(64x64, epilogue, name, 4)                                                                         \
    GEMM(32x64, epilogue, name, 4)
