// Multi-head attention of heads of D channels: queries (B, Q, A) i8, keys and values (B, T, 2A) i8 to context
// (B, Q, A) i8; A = H D. Rows lie at strides, so that one kernel takes all three from one projection (Q = T, or fewer
// where only the first tokens ask), or pools the tokens by one constant query (Q = 1, strides 0).
//
// A block takes queries of one head, 16 a warp; keys and values of the head go through shared memory. The
// integer softmax needs a row's true maximum before the first weight, so scores are computed twice and never
// leave the registers: once for the maximum, once for the weights, which are at once the A fragments of the
// second product.
//
// - Where all keys and values fit, they are one tile, loaded once. Else tiles of keys come for the maxima, then
//   come again with their values; two places take turns, one is filled while the other is read.
// - Sums start at the bits of 1.5 * 2^23: what the Tensor Core leaves there is already a float.
// - A lane's scores of two neighbouring 8-token fragments are tokens 2q, 2q + 1, 8 + 2q, 9 + 2q. Taken as
//   bytes 4q .. 4q + 3 of the second product's inner dimension, they need no exchange between lanes, as long
//   as the values come in the same order: `ldmatrix.trans` moves pairs of channels of just those tokens to
//   the lane, and two byte permutations separate even from odd channels.
//
// Bytes: 3 T A read, T A written an image; keys and values once more from L2 for each further block of queries, and
// keys twice as often in tiles.
// Operations: 3 T^2 A multiply-accumulates, and some 20 a score for exp2. Orin Nano Super, ViT-B/16 at
// batch 1: 0.09 GMAC, 5 us on Tensor Cores; 0.47 M scores, 12 us of exp2 on 8 SMs.
//
// dynamic shared: attention_32 15232
// dynamic shared: attention_64 29568
// dynamic shared: attention_96 43904
// dynamic shared: attention_128 33664
#include "numerics.cuh"
#include "prefetch.cuh"
#include "rows.cuh"

struct AttentionParams {
    const i8 *query;            // (B, Q, A)
    const i8 *key_value;        // (B, T, 2A): keys, then values
    const u32 *sizes;           // (B, T), or null
    const float *log2_size;     // (MAX_TOKENS + 1)
    const float *score_scale;   // (H)
    const float *context_scale; // (H)
    i8 *context;                // (B, Q, A)
    Prefetch next;
    u32 queries;                // Q
    u32 tokens;                 // T
    u32 heads;                  // H
    u32 query_stride;           // from a query to the next
    u32 query_image;            // from an image's queries to the next image's
    u32 key_value_stride;       // from a token's keys to the next token's
    u32 tile;                   // tokens of a tile, a multiple of 32: all of them, or fewer
    u32 tiles;
    u32 last_tile; // tokens of the last one, a multiple of 32
    u32 padding;
};

constexpr u32 QUERIES = 16; // of a warp
constexpr u32 BLOCK = 32; // tokens that one inner step of the second product takes
#define INFINITE __int_as_float(0x7f800000)

// Which thread this is, read again wherever it is asked: to compute addresses anew takes less than the registers that
// would hold them through the loops over tokens.
struct Here {
    u32 thread, head, image;

    DEVICE Here() {
        asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
        asm volatile("mov.u32 %0, %%ctaid.y;" : "=r"(head));
        asm volatile("mov.u32 %0, %%ctaid.z;" : "=r"(image));
    }
};

// Keys and values on their way through shared memory. There are two steps for each tile: the first ones are for
// the maxima, the second ones for the weights.
template <u32 D>
struct Stream {
    const AttentionParams &p;
    u32 shared;

    DEVICE bool resident() const { return p.tiles == 1; }

    // Tokens of a tile, a multiple of BLOCK.
    DEVICE u32 count(u32 tile) const { return tile == p.tiles - 1 ? p.last_tile : p.tile; }

    // Where a step's keys are; its values follow.
    DEVICE u32 keys(u32 step) const { return shared + (resident() ? 0 : step % 2) * 2 * p.tile * D; }
    DEVICE u32 values(u32 step) const { return keys(step) + p.tile * D; }

    // A thread copies one chunk of every so many rows, a multiple of 8: its place is always permuted alike. Rows beyond
    // the last token are copies of it. `columns`: from the keys' to what is copied.
    DEVICE void load_rows(u32 to, u32 columns, u32 tile) const {
        constexpr u32 CHUNKS = Rows<D>::CHUNKS;
        Here here;
        u32 row = here.thread / CHUNKS, chunk = here.thread % CHUNKS, end = count(tile);
        u32 stride = blockDim.x / CHUNKS & ~7u;
        if (row >= stride) return;
        u32 token = tile * p.tile + row;
        const i8 *rows = p.key_value + (u64)here.image * p.tokens * p.key_value_stride + here.head * D + columns +
                         chunk * CHUNK;
        const i8 *at = rows + (u64)token * p.key_value_stride;
        const i8 *last = rows + (u64)(p.tokens - 1) * p.key_value_stride;
        to += Rows<D>::place(row, chunk);
        for (; row < end; row += stride, token += stride, to += stride * D, at += stride * p.key_value_stride)
            copy_async_16(to, token < p.tokens ? at : last, true);
    }

    // Starts to load what a step reads and is not yet there: a group of keys, then a group of values.
    DEVICE void load(u32 step) const {
        bool second = step >= p.tiles;
        u32 tile = second ? step - p.tiles : step;
        if (tile >= p.tiles) return;
        if (!(resident() && second)) load_rows(keys(step), 0, tile);
        copy_async_commit();
        if (resident() != second) load_rows(values(step), p.heads * D, tile);
        copy_async_commit();
    }
};

// log2 of every token's size; minus infinity beyond the last token, so that its weight is 0.
DEVICE void load_bias(float *bias, const AttentionParams &p) {
    for (u32 j = threadIdx.x; j < round_up(p.tokens, BLOCK); j += blockDim.x) {
        float value = -INFINITE;
        if (j < p.tokens) value = p.sizes ? p.log2_size[p.sizes[blockIdx.z * p.tokens + j]] : 0.0f;
        bias[j] = value;
    }
}

// 16 queries of a warp.
template <u32 D>
struct Queries {
    u32 fragment[D / 32][4]; // A fragments of the head
    float scale;

    DEVICE Queries(const AttentionParams &p, u32 first) : scale(p.score_scale[blockIdx.y]) {
        u32 lane = lane_id();
        const i8 *from = p.query + (u64)blockIdx.z * p.query_image + blockIdx.y * D;
#pragma unroll
        for (u32 i = 0; i < D / 8; i++) {
            // Beyond the last query any row will do: the result is discarded.
            u32 row = min(first + lane / 4 + i % 2 * 8, p.queries - 1);
            fragment[i / 4][i % 4] = *(const u32 *)(from + (u64)row * p.query_stride + i / 2 * CHUNK + lane % 4 * 4);
        }
    }
};

// A lane's sums of a block: `[8-token fragment][row g: columns 2q, 2q + 1; row g + 8]`, each the bits of MAGIC more
// than the product.
typedef i32 Sums[BLOCK / 8][4];

// Products of a warp's queries with the keys of a tile, a block at a time.
template <u32 D>
struct Products {
    const Queries<D> &queries;
    RowReader<D> keys;

    DEVICE Products(const Queries<D> &queries, u32 keys) : queries(queries), keys(keys) {}

    DEVICE void next_block() { keys.advance(BLOCK); }

    // The fragments take turns: none of them waits for its own last product.
    DEVICE void get(Sums &sum) const {
        u32 k[BLOCK / 8][D / 32][2];
#pragma unroll
        for (u32 f = 0; f < BLOCK / 8; f++) {
            keys.get(8 * f, k[f]);
#pragma unroll
            for (u32 i = 0; i < 4; i++) sum[f][i] = MAGIC_BITS;
        }
#pragma unroll
        for (u32 i = 0; i < D / 32; i++)
#pragma unroll
            for (u32 f = 0; f < BLOCK / 8; f++) multiply_s8(sum[f], queries.fragment[i], k[f][i][0], k[f][i][1]);
    }
};

DEVICE float score(float sum, float scale, float bias) { return __fmaf_rn(__fsub_rn(sum, MAGIC), scale, bias); }

// Biases of a lane's columns of a block.
struct Biases {
    float2 value[BLOCK / 8];

    DEVICE explicit Biases(const float *bias) {
#pragma unroll
        for (u32 f = 0; f < BLOCK / 8; f++) value[f] = *(const float2 *)(bias + 8 * f);
    }

    DEVICE float of(u32 fragment, u32 i) const { return i % 2 ? value[fragment].y : value[fragment].x; }
};

// Raises the lane's part of the largest scores of its two rows.
template <u32 D>
DEVICE void raise_maxima(Products<D> &products, const float *bias, u32 tokens, float scale, float (&max)[2]) {
    for (u32 left = tokens; left; left -= BLOCK, products.next_block(), bias += BLOCK) {
        Sums sum;
        products.get(sum);
        Biases biases(bias);
#pragma unroll
        for (u32 f = 0; f < BLOCK / 8; f++)
#pragma unroll
            for (u32 i = 0; i < 4; i++)
                max[i / 2] = fmaxf(max[i / 2], score(__int_as_float(sum[f][i]), scale, biases.of(f, i)));
    }
}

// Raises the lane's part of the largest sums of its two rows: those of the largest scores where all tokens have the
// same bias and a larger product is no smaller a score. Rows beyond the last token are copies of it.
template <u32 D>
DEVICE void raise_sums(Products<D> &products, u32 tokens, float (&max)[2]) {
    for (u32 left = tokens; left; left -= BLOCK, products.next_block()) {
        Sums sum;
        products.get(sum);
#pragma unroll
        for (u32 f = 0; f < BLOCK / 8; f++)
#pragma unroll
            for (u32 i = 0; i < 4; i++) max[i / 2] = fmaxf(max[i / 2], __int_as_float(sum[f][i]));
    }
}

// What the lane adds to make weights of a block: `[8-token fragment][column 2q, 2q + 1]`. The same in its two rows and
// in every block, because the offsets repeat after 8 queries and 32 tokens.
struct Offsets {
    float value[BLOCK / 8][2];

    DEVICE Offsets() {
        u32 row = lane_id() / 4, column = lane_id() % 4 * 2;
#pragma unroll
        for (u32 i = 0; i < BLOCK / 4; i++) value[i / 2][i % 2] = softmax_offset(row, i / 2 * 8 + column + i % 2);
    }
};

// Weights of a block as an A fragment, and their sums.
DEVICE void weights(const Sums &products, const Biases &biases, float scale, const float (&max)[2],
                    const Offsets &offsets, u32 (&p)[4], u32 (&sum)[2]) {
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        u32 e[2][4]; // [8-token fragment][row g: two, row g + 8: two]
#pragma unroll
        for (u32 f = 0; f < 2; f++) {
#pragma unroll
            for (u32 i = 0; i < 4; i++) {
                float t = score(__int_as_float(products[2 * half + f][i]), scale, biases.of(2 * half + f, i));
                e[f][i] = softmax_weight(__fsub_rn(t, max[i / 2]), offsets.value[2 * half + f][i % 2]);
            }
        }
#pragma unroll
        for (u32 row = 0; row < 2; row++) {
            u32 bytes = pack4<1>(e[0][2 * row], e[0][2 * row + 1], e[1][2 * row], e[1][2 * row + 1]);
            p[2 * half + row] = bytes;
            sum[row] = __dp4a(bytes, 0x01010101u, sum[row]);
        }
    }
}

// Sums of values of 16 queries.
template <u32 D>
struct Context {
    static constexpr u32 CHUNKS = Rows<D>::CHUNKS;
    i32 value[CHUNKS][2][4] = {}; // [16 channels][even, odd channels][the lane's four]

    DEVICE void add(const u32 (&p)[4], const ColumnReader<D> &values) {
#pragma unroll
        for (u32 chunk = 0; chunk < CHUNKS; chunk++) {
            u32 v[4];
            load_matrices_transposed(v, values.at(chunk));
            multiply_u8s8(value[chunk][0], p, __byte_perm(v[0], v[1], 0x6420), __byte_perm(v[2], v[3], 0x6420));
            multiply_u8s8(value[chunk][1], p, __byte_perm(v[0], v[1], 0x7531), __byte_perm(v[2], v[3], 0x7531));
        }
    }

    DEVICE void write(const AttentionParams &p, const u32 (&sum)[2], u32 query) const {
        u32 head = blockIdx.y, width = p.heads * D;
#pragma unroll
        for (u32 row = 0; row < 2; row++) {
            u32 at = query + 8 * row;
            if (at >= p.queries) continue;
            float scale = __fdiv_rn(p.context_scale[head], (float)sum[row]);
            i8 *out = p.context + ((u64)blockIdx.z * p.queries + at) * width + head * D;
#pragma unroll
            for (u32 chunk = 0; chunk < CHUNKS; chunk++) {
                u32 q[4];
#pragma unroll
                for (u32 i = 0; i < 4; i++)
                    q[i] = sat8(__fmul_rn((float)value[chunk][i % 2][2 * row + i / 2], scale));
                *(u32 *)(out + chunk * CHUNK + lane_id() % 4 * 4) = pack4(q[0], q[1], q[2], q[3]);
            }
        }
    }
};

template <u32 D>
DEVICE void attend(const AttentionParams &p) {
    extern __shared__ __align__(128) u8 shared[];
    Stream<D> stream{p, shared_address(shared)};
    float *bias = (float *)(shared + (stream.resident() ? 2 : 4) * p.tile * D);
    const float *of_lane = bias + lane_id() % 4 * 2;
    stream.load(0);
    prefetch(p.next);
    load_bias(bias, p);
    // Another warp of each head has no queries, where there are too few: warps have their scheduler by their number.
    u32 warps = blockDim.x / WARP;
    u32 first = (blockIdx.x * warps + (warp_id() + blockIdx.y) % warps) * QUERIES;
    bool idle = first >= p.queries; // helps to load
    Queries<D> queries(p, first);

    // Without sizes the largest product of a row makes its largest score, and no other is made one here.
    bool of_sums = !p.sizes && queries.scale >= 0.0f && queries.scale < INFINITE;
    float max[2] = {of_sums ? 0.0f : -INFINITE, of_sums ? 0.0f : -INFINITE};
    for (u32 tile = 0; tile < p.tiles; tile++) {
        copy_async_wait<1>();
        __syncthreads();
        stream.load(tile + 1);
        Products<D> products(queries, stream.keys(tile));
        if (idle) continue;
        if (of_sums)
            raise_sums(products, stream.count(tile), max);
        else
            raise_maxima(products, of_lane + tile * p.tile, stream.count(tile), queries.scale, max);
    }
#pragma unroll
    for (u32 i = 0; i < 2; i++) {
        max[i] = fmaxf(max[i], __shfl_xor_sync(ALL, max[i], 1));
        max[i] = fmaxf(max[i], __shfl_xor_sync(ALL, max[i], 2));
        if (of_sums) max[i] = score(max[i], queries.scale, 0.0f);
    }

    Offsets offsets;
    Context<D> context;
    u32 sum[2] = {0, 0};
    for (u32 tile = 0; tile < p.tiles; tile++) {
        u32 step = p.tiles + tile;
        copy_async_wait<0>();
        __syncthreads();
        stream.load(step + 1);
        Products<D> products(queries, stream.keys(step));
        const float *of_tile = of_lane + tile * p.tile;
        if (idle) continue;
        ColumnReader<D> values(stream.values(step));
        for (u32 left = stream.count(tile); left; left -= BLOCK, of_tile += BLOCK) {
            u32 weight[4];
            Sums block;
            products.get(block);
            weights(block, Biases(of_tile), queries.scale, max, offsets, weight, sum);
            context.add(weight, values);
            products.next_block();
            values.advance(BLOCK);
        }
    }
    if (idle) return;
#pragma unroll
    for (u32 i = 0; i < 2; i++) {
        sum[i] += __shfl_xor_sync(ALL, sum[i], 1);
        sum[i] += __shfl_xor_sync(ALL, sum[i], 2);
    }
    context.write(p, sum, first + lane_id() / 4);
}

// A block has from 2 to WARPS warps, and an SM holds as many in all: what its registers have room for.
#define ATTENTION(D, WARPS)                                                                                          \
    extern "C" __global__ void __launch_bounds__(WARPS *WARP, 1) attention_##D(PARAMS(AttentionParams) p) {          \
        attend<D>(p);                                                                                                \
    }
ATTENTION(32, 28)
ATTENTION(64, 20)
ATTENTION(96, 16)
ATTENTION(128, 12)
