// Multi-head attention of heads of D channels: queries (B, Q, A) i8, keys and values (B, T, 2A) i8 to context
// (B, Q, A) i8; A = H D. Rows lie at strides, so that one kernel takes all three from one projection (Q = T, or fewer
// where only the first tokens ask), or pools the tokens by one constant query (Q = 1, strides 0).
//
// A block takes 64 queries of one head, 16 a warp; keys and values of the head go through shared memory. The
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
#include "rows.cuh"

struct AttentionParams {
    const i8 *query;            // (B, Q, A)
    const i8 *key_value;        // (B, T, 2A): keys, then values
    const u32 *sizes;           // (B, T), or null
    const float *log2_size;     // (MAX_TOKENS + 1)
    const float *score_scale;   // (H)
    const float *context_scale; // (H)
    i8 *context;                // (B, Q, A)
    u32 queries;                // Q
    u32 tokens;                 // T
    u32 heads;                  // H
    u32 query_stride;           // from a query to the next
    u32 query_image;            // from an image's queries to the next image's
    u32 key_value_stride;       // from a token's keys to the next token's
    u32 tile;                   // tokens of a tile, a multiple of 32: all of them, or fewer
    u32 padding;
};

constexpr u32 QUERIES = 64;
constexpr u32 THREADS = QUERIES / 16 * WARP;
constexpr u32 BLOCK = 32; // tokens that one inner step of the second product takes

// Keys and values on their way through shared memory. There are two steps for each tile: the first ones are for
// the maxima, the second ones for the weights.
template <u32 D>
struct Stream {
    const AttentionParams &p;
    const i8 *from; // keys of the image and head; their values are A further
    u32 shared;
    u32 padded; // tokens, with zeros up to a whole block
    u32 tiles;

    DEVICE Stream(const AttentionParams &p, u32 shared)
        : p(p),
          from(p.key_value + (u64)blockIdx.z * p.tokens * p.key_value_stride + blockIdx.y * D),
          shared(shared),
          padded(round_up(p.tokens, BLOCK)),
          tiles(ceil_div(padded, p.tile)) {}

    DEVICE bool resident() const { return tiles == 1; }

    // Tokens of a tile, a multiple of BLOCK.
    DEVICE u32 count(u32 tile) const { return min(p.tile, padded - tile * p.tile); }

    // Where a step's keys are; its values follow.
    DEVICE u32 keys(u32 step) const { return shared + (resident() ? 0 : step % 2) * 2 * p.tile * D; }
    DEVICE u32 values(u32 step) const { return keys(step) + p.tile * D; }

    // A thread copies one chunk of every STRIDE-th row, so that its place is always permuted alike.
    DEVICE void load_rows(u32 to, const i8 *rows, u32 tile) const {
        constexpr u32 CHUNKS = Rows<D>::CHUNKS, STRIDE = D == 32 ? 64 : D == 64 ? 32 : 16;
        u32 row = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS, end = count(tile);
        if (row >= STRIDE) return;
        u32 token = tile * p.tile + row;
        const i8 *at = rows + (u64)token * p.key_value_stride + chunk * CHUNK;
        to += Rows<D>::place(row, chunk);
        for (; row < end; row += STRIDE, token += STRIDE, to += STRIDE * D, at += STRIDE * p.key_value_stride) {
            bool valid = token < p.tokens;
            copy_async_16(to, valid ? at : rows, valid);
        }
    }

    // Starts to load what a step reads and is not yet there: a group of keys, then a group of values.
    DEVICE void load(u32 step) const {
        bool second = step >= tiles;
        u32 tile = second ? step - tiles : step;
        if (tile >= tiles) return;
        if (!(resident() && second)) load_rows(keys(step), from, tile);
        copy_async_commit();
        if (resident() != second) load_rows(values(step), from + p.heads * D, tile);
        copy_async_commit();
    }
};

// log2 of every token's size; minus infinity beyond the last token, so that its weight is 0.
DEVICE void load_bias(float *bias, const AttentionParams &p) {
    for (u32 j = threadIdx.x; j < round_up(p.tokens, BLOCK); j += THREADS) {
        float value = -__int_as_float(0x7f800000);
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

// Their scores against a block of a tile, 8 tokens at a time.
template <u32 D>
struct Scores {
    const Queries<D> &queries;
    RowReader<D> keys;
    const float *bias;

    DEVICE Scores(const Queries<D> &queries, u32 keys, const float *bias)
        : queries(queries), keys(keys), bias(bias) {}

    DEVICE void next_block() {
        keys.advance(BLOCK);
        bias += BLOCK;
    }

    // Rows g and g + 8 of the lane, columns 2q and 2q + 1 of the block's 8 tokens from `j` on.
    DEVICE void get(u32 j, float (&t)[4]) const {
        u32 k[D / 32][2];
        keys.get(j, k);
        i32 sum[4] = {MAGIC_BITS, MAGIC_BITS, MAGIC_BITS, MAGIC_BITS};
#pragma unroll
        for (u32 i = 0; i < D / 32; i++) multiply_s8(sum, queries.fragment[i], k[i][0], k[i][1]);
        float2 b = *(const float2 *)(bias + j + lane_id() % 4 * 2);
#pragma unroll
        for (u32 i = 0; i < 4; i++)
            t[i] = __fmaf_rn(__fsub_rn(__int_as_float(sum[i]), MAGIC), queries.scale, i % 2 ? b.y : b.x);
    }
};

// Raises the lane's part of the largest scores of its two rows.
template <u32 D>
DEVICE void raise_maxima(Scores<D> &scores, u32 tokens, float (&max)[2]) {
    for (u32 left = tokens; left; left -= BLOCK, scores.next_block()) {
#pragma unroll
        for (u32 j = 0; j < BLOCK; j += 8) {
            float t[4];
            scores.get(j, t);
            max[0] = fmaxf(max[0], fmaxf(t[0], t[1]));
            max[1] = fmaxf(max[1], fmaxf(t[2], t[3]));
        }
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
template <u32 D>
DEVICE void weights(
    const Scores<D> &scores, const float (&max)[2], const Offsets &offsets, u32 (&p)[4], u32 (&sum)[2]) {
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        u32 e[2][4]; // [8-token fragment][row g: two, row g + 8: two]
#pragma unroll
        for (u32 f = 0; f < 2; f++) {
            float t[4];
            scores.get(16 * half + 8 * f, t);
#pragma unroll
            for (u32 i = 0; i < 4; i++)
                e[f][i] = softmax_weight(__fsub_rn(t[i], max[i / 2]), offsets.value[2 * half + f][i % 2]);
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
            load_matrices_transposed(v, values.at[chunk]);
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
    Stream<D> stream(p, shared_address(shared));
    float *bias = (float *)(shared + (stream.resident() ? 2 : 4) * p.tile * D);
    stream.load(0);
    load_bias(bias, p);
    u32 first = blockIdx.x * QUERIES + warp_id() * 16;
    bool idle = first >= p.queries; // helps to load
    Queries<D> queries(p, first);

    float max[2] = {-__int_as_float(0x7f800000), -__int_as_float(0x7f800000)};
    for (u32 tile = 0; tile < stream.tiles; tile++) {
        copy_async_wait<1>();
        __syncthreads();
        stream.load(tile + 1);
        Scores<D> scores(queries, stream.keys(tile), bias + tile * p.tile);
        if (!idle) raise_maxima(scores, stream.count(tile), max);
    }
#pragma unroll
    for (u32 i = 0; i < 2; i++) {
        max[i] = fmaxf(max[i], __shfl_xor_sync(ALL, max[i], 1));
        max[i] = fmaxf(max[i], __shfl_xor_sync(ALL, max[i], 2));
    }

    Offsets offsets;
    Context<D> context;
    u32 sum[2] = {0, 0};
    for (u32 tile = 0; tile < stream.tiles; tile++) {
        u32 step = stream.tiles + tile;
        copy_async_wait<0>();
        __syncthreads();
        stream.load(step + 1);
        Scores<D> scores(queries, stream.keys(step), bias + tile * p.tile);
        if (idle) continue;
        ColumnReader<D> values(stream.values(step));
        for (u32 left = stream.count(tile); left; left -= BLOCK, scores.next_block(), values.advance(BLOCK)) {
            u32 weight[4];
            weights(scores, max, offsets, weight, sum);
            context.add(weight, values);
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

// RESIDENT: blocks that an SM is to hold at once. Registers would allow fewer; shared memory allows them.
#define ATTENTION(D, RESIDENT)                                                                                       \
    extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) attention_##D(PARAMS(AttentionParams) p) {       \
        attend<D>(p);                                                                                                \
    }
ATTENTION(32, 8)
ATTENTION(64, 5)
ATTENTION(96, 3)
ATTENTION(128, 3)
