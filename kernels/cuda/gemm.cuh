// Linear layers: INT8 matrix product with a fused epilogue.
//
//   output (M, N) = epilogue(input (M, K) i8 * transpose of weights (N, K) i8), sums in i32
//
// K and N are multiples of 64; M is anything. A block computes tiles of the output, or with `splits` parts of K, one part
// of a tile: as many blocks as there are of these items one each, fewer blocks one after another (gemm_pipeline.cuh).
// With more than one part, each leaves its sums in `partial`; the block that arrives last adds them (integers: any order
// gives the same bits) and runs the epilogue. Nobody waits for anybody: blocks may run in any order, at once or not.
//
// Bytes: (M + N) K read, M N (i8) or 4 M N (f16, read and written) moved; M N K multiply-accumulates.
// Orin Nano Super (8 SMs, 1.02 GHz, 16.7 T multiply-accumulates/s, 80 GB/s measured), ViT-B/16 at batch 1:
// qkv 197 x 2304 x 768 is 0.35 GMAC: 21 us of compute against 22 us of weights.
#pragma once
#include "arrival.cuh"
#include "gemm_pipeline.cuh"

template <typename T>
struct Gemm {
    // Adds up the parts of K. Returns whether this block is the last of its tile, which then has the whole sum.
    // `before` is a word of shared memory.
    static DEVICE bool reduce(const GemmParams &p, const Item<T> &item, typename T::Sums &sums, u32 *before) {
        if (p.splits == 1) return true;
        constexpr u32 VECTORS = T::MI * T::NI * 4;
        u32 tile = item.tile(p);
        int4 *parts = p.partial + (u64)tile * p.splits * VECTORS * T::THREADS + threadIdx.x;
        int4 *own = parts + (u64)item.part * VECTORS * T::THREADS;
#pragma unroll
        for (u32 i = 0; i < VECTORS; i++) {
            const i32(&s)[4] = sums[i / (4 * T::NI)][i / 4 % T::NI][i % 4];
            own[i * T::THREADS] = make_int4(s[0], s[1], s[2], s[3]);
        }
        if (!arrives_last(p.arrived + 1 + tile, p.splits, before)) return false;
        for (u32 z = 0; z < p.splits; z++) {
            if (z == item.part) continue;
            const int4 *other = parts + (u64)z * VECTORS * T::THREADS;
#pragma unroll
            for (u32 i = 0; i < VECTORS; i++) {
                i32(&s)[4] = sums[i / (4 * T::NI)][i / 4 % T::NI][i % 4];
                uint4 v = load_from_l2((const uint4 *)(other + i * T::THREADS));
                s[0] += (i32)v.x;
                s[1] += (i32)v.y;
                s[2] += (i32)v.z;
                s[3] += (i32)v.w;
            }
        }
        return true;
    }

    // What becomes of a tile's sums.
    template <Epilogue E>
    static DEVICE void finish_tile(const GemmParams &p, const Item<T> &item, const typename T::Sums &sums) {
        constexpr u32 ROWS = 2 * T::MI, TOGETHER = AT_A_TIME<E> < ROWS ? AT_A_TIME<E> : ROWS;
        if constexpr (E == EMBED) start_tokens<T::THREADS>(p, item.m0 / T::ROWS, T::down(p), item.n0, T::COLUMNS);
        u32 thread = kept(threadIdx.x), lane = thread % WARP;
        u32 first = item.m0 + T::warp_row(thread) * T::WARP_ROWS + lane / 4;
#pragma unroll
        for (u32 ni = 0; ni < T::NI; ni++) {
            u32 column = item.n0 + T::warp_column(thread) * T::WARP_COLUMNS + ni * PANEL + 8 * (lane % 4);
            float scale[8], bias[8];
            load_floats(scale, p.scale + column);
            load_floats(bias, p.bias + column);
            // The compiler may not move a row's reads before another's write: together, they wait for L2 once.
            // Without a value, those of rows that are none would be kept from tile to tile.
#pragma unroll
            for (u32 i = 0; i < ROWS; i += TOGETHER) {
                Beside<E> beside[TOGETHER] = {};
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

    template <Epilogue E>
    static DEVICE void run(const GemmParams &p) {
        extern __shared__ __align__(128) u8 shared[];
        u32 *next = (u32 *)(shared + T::RING_BYTES), *before = next + 1; // behind the stages
        Queue queue(Item<T>::count(p), next);
        Pipeline<T> pipeline(shared_address(shared));
        u32 index = blockIdx.x;
#pragma unroll 1
        do {
            Item<T> item(p, index);
            typename T::Sums sums = {};
            index = pipeline.multiply(p, item, queue, sums);
            if (reduce(p, item, sums, before)) finish_tile<E>(p, item, sums);
        } while (index < queue.items);
    }
};

// Tile shapes. The number of blocks an SM should hold keeps the compiler within the registers for it.
typedef Tile<128, 128, 128, 32, 4> Tile128x128;
typedef Tile<64, 128, 64, 32, 4> Tile64x128;
typedef Tile<64, 64, 32, 32, 4> Tile64x64;
typedef Tile<32, 64, 16, 32, 6> Tile32x64;

#define GEMM(tile, epilogue, name, blocks)                                                                 \
    extern "C" __global__ void __launch_bounds__(Tile##tile::THREADS, blocks)                              \
        gemm_##tile##_##name(PARAMS(GemmParams) p) {                                                       \
        Gemm<Tile##tile>::run<epilogue>(p);                                                                \
    }
#define GEMM_TILES(epilogue, name)                                                                         \
    GEMM(128x128, epilogue, name, 2)                                                                       \
    GEMM(64x128, epilogue, name, 3)                                                                        \
    GEMM(64x64, epilogue, name, 4)                                                                         \
    GEMM(32x64, epilogue, name, 4)
