// A camera frame to network input: unpack, YUV to RGB, resize, crop; in integers, bit for bit what
// `kernels/src/frame` does. Pillow's fixed-point separable resampling: horizontal pass first, 8 bits between.
//
// `resample_columns`: a block takes one source row that some output row reads. A thread converts four pixels at
// a time, once, into planes in shared memory; then each makes all three samples of an output column. A
// coefficient has 24 bits: three signed bytes, each of which meets four samples in one dot product.
//
// `resample_rows`: a block makes one output row, a thread four samples of it, as pixels or, in place, as rows
// of patches.
//
// Bytes: the frame once; R rows of 3 W bytes written and read again from L2 (R source rows, W output columns).
// Orin Nano Super, 1920 x 1080 NV12 to the middle 224 x 224 of 256, bicubic: 2.4 MB, 30 us of memory; 1.3 and
// 0.2 million warp instructions, 40 and 6 us at the four a clock that an SM can start.
#include "types.cuh"

enum Format { RGB, BGR, GREY, YUYV, UYVY, NV12, NV21, I420 };

struct ResampleColumnsParams {
    const u8 *frame;         // planes without padding
    const u32 *starts;       // (W): first source column, a multiple of 4
    const u32 *coefficients; // (groups, 3, W): low, middle and high bytes of four, 22 fractional bits
    u8 *out;                 // (R, W, 3)
    u32 stride;              // bytes of a row of the first plane
    u32 chroma;              // where the first chroma plane starts
    u32 chroma_stride;
    u32 second_chroma; // from the first chroma plane to the second
    u32 first_row;     // of the source
    u32 first_column;  // of the source, a multiple of 4
    u32 pixels;        // source columns that windows reach, a multiple of 4, at most MAX_SIDE
    u32 columns;       // W
    u32 groups;        // of four taps
    u32 format;
    i32 black; // see `kernels/src/frame/color.rs`: 13 fractional bits
    i32 luma;
    i32 red_cr;
    i32 green_cb;
    i32 green_cr;
    i32 blue_cb;
};

struct ResampleRowsParams {
    const u8 *rows;          // (R, W, 3)
    const uint2 *windows;    // (kept): first source row, number of rows
    const i32 *coefficients; // (kept, taps)
    u8 *out;                 // (height, width, 3) pixels, or (patches, row bytes) of pixel - 128
    u32 first_row;           // source row that `rows` starts with
    u32 columns;             // W
    u32 left;                // black columns before them
    u32 kept;                // output rows that are not black
    u32 top;                 // black rows before them
    u32 taps;
    u32 width;      // of the output, in pixels
    u32 patch_size; // 0 for pixels
    u32 row_bytes;  // of a patch
    u32 padding;
};

constexpr u32 COLUMN_THREADS = 256;
constexpr u32 ROW_THREADS = 192;
constexpr u32 MAX_SIDE = 8192;
constexpr u32 PRECISION_BITS = 22;
constexpr u32 COLOR_BITS = 13;

// Bytes at .. at + 4 of a row, 0 beyond its length. `whole`: they start at a multiple of 4, in memory too, and
// the length is one.
DEVICE u32 four_bytes(const u8 *row, u32 at, u32 length, bool whole) {
    if (whole) return at < length ? *(const u32 *)(row + at) : 0;
    u32 bytes = 0;
#pragma unroll
    for (u32 i = 0; i < 4; i++)
        if (at + i < length) bytes |= row[at + i] << 8 * i;
    return bytes;
}

DEVICE i32 byte(u32 word, u32 i) { return word >> 8 * i & 0xff; }

// c + the sum of four products, unsigned bytes of a and signed ones of b.
DEVICE u32 dot(u32 a, u32 b, u32 c) {
    u32 sum;
    asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
    return sum;
}

// Four pixels, the first lowest.
struct Four {
    u32 red, green, blue;
};

// Bytes 2 of four sums, clamped: 0 .. 255 with 16 fractional bits.
DEVICE u32 clamp_and_pack(const i32 (&sums)[4]) {
    u32 c[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++) c[i] = (u32)min(max(sums[i], 0), 0xffffff);
    return __byte_perm(__byte_perm(c[0], c[1], 0x0062), __byte_perm(c[2], c[3], 0x0062), 0x5410);
}

// From four bytes of luma, and Cb and Cr of the first two and of the last two pixels.
DEVICE Four to_rgb(const ResampleColumnsParams &p, u32 luma, u32 chroma) {
    constexpr u32 UP = 16 - COLOR_BITS;
    i32 red[4], green[4], blue[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        i32 cb = byte(chroma, i / 2 * 2) - 128, cr = byte(chroma, i / 2 * 2 + 1) - 128;
        i32 base = (p.luma << UP) * (byte(luma, i) - p.black) + (1 << 15);
        red[i] = base + (p.red_cr << UP) * cr;
        green[i] = base - ((p.green_cb << UP) * cb + (p.green_cr << UP) * cr);
        blue[i] = base + (p.blue_cb << UP) * cb;
    }
    return {clamp_and_pack(red), clamp_and_pack(green), clamp_and_pack(blue)};
}

// Pixels (x .. x + 4, y) of the frame; x is a multiple of 4. Chroma is that of the pair, and of the pair of
// rows: no interpolation.
DEVICE Four unpack(const ResampleColumnsParams &p, u32 x, u32 y) {
    const u8 *row = p.frame + (u64)y * p.stride;
    const u8 *chroma = p.frame + p.chroma + (u64)(y / 2) * p.chroma_stride;
    // Planes are packed: if their rows are made of fours, they start at multiples of four.
    bool whole = (p.stride | p.chroma_stride) % 4 == 0;
    if (p.format == RGB || p.format == BGR) {
        u32 a = four_bytes(row, 3 * x, p.stride, whole), b = four_bytes(row, 3 * x + 4, p.stride, whole),
            c = four_bytes(row, 3 * x + 8, p.stride, whole);
        u32 first = __byte_perm(__byte_perm(a, b, 0x0630), c, 0x5210);
        u32 second = __byte_perm(__byte_perm(a, b, 0x0741), c, 0x6210);
        u32 third = __byte_perm(__byte_perm(a, b, 0x0052), c, 0x7410);
        return p.format == RGB ? Four{first, second, third} : Four{third, second, first};
    }
    if (p.format == YUYV || p.format == UYVY) {
        u32 a = four_bytes(row, 2 * x, p.stride, whole), b = four_bytes(row, 2 * x + 4, p.stride, whole);
        u32 even = __byte_perm(a, b, 0x6420), odd = __byte_perm(a, b, 0x7531);
        return p.format == YUYV ? to_rgb(p, even, odd) : to_rgb(p, odd, even);
    }
    u32 luma = four_bytes(row, x, p.stride, whole);
    if (p.format == GREY) return {luma, luma, luma};
    u32 pairs;
    if (p.format == I420) {
        u32 at = x / 8 * 4, shift = x % 8 * 4;
        u32 cb = four_bytes(chroma, at, p.chroma_stride, whole) >> shift;
        u32 cr = four_bytes(chroma + p.second_chroma, at, p.chroma_stride, whole) >> shift;
        pairs = __byte_perm(cb, cr, 0x5140);
    } else {
        pairs = four_bytes(chroma, x, p.chroma_stride, whole);
        if (p.format == NV21) pairs = __byte_perm(pairs, 0, 0x2301);
    }
    return to_rgb(p, luma, pairs);
}

DEVICE u32 clamp8(u32 sum) { return (u32)min(max((i32)sum >> PRECISION_BITS, 0), 255); }

extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
    resample_columns(PARAMS(ResampleColumnsParams) p) {
    __shared__ u32 planes[3][MAX_SIDE / 4];
    for (u32 i = threadIdx.x; i < p.pixels / 4; i += COLUMN_THREADS) {
        Four four = unpack(p, p.first_column + 4 * i, p.first_row + blockIdx.x);
        planes[0][i] = four.red;
        planes[1][i] = four.green;
        planes[2][i] = four.blue;
    }
    __syncthreads();
    for (u32 x = threadIdx.x; x < p.columns; x += COLUMN_THREADS) {
        u32 at = (p.starts[x] - p.first_column) / 4;
        const u32 *coefficients = p.coefficients + x;
        u32 sums[3][3] = {};
        for (u32 group = 0; group < p.groups; group++) {
            u32 parts[3];
#pragma unroll
            for (u32 part = 0; part < 3; part++) parts[part] = coefficients[(3 * group + part) * p.columns];
#pragma unroll
            for (u32 color = 0; color < 3; color++)
#pragma unroll
                for (u32 part = 0; part < 3; part++)
                    sums[color][part] = dot(planes[color][at + group], parts[part], sums[color][part]);
        }
        u8 *out = p.out + ((u64)blockIdx.x * p.columns + x) * 3;
#pragma unroll
        for (u32 color = 0; color < 3; color++) {
            u32 sum = sums[color][0] + (sums[color][1] << 8) + (sums[color][2] << 16);
            out[color] = clamp8(sum + (1 << (PRECISION_BITS - 1)));
        }
    }
}

// Samples i .. i + 4 of output row y. Black beyond the resized frame.
DEVICE u32 four_samples(const ResampleRowsParams &p, u32 y, u32 i) {
    // What is before the first kept row or column is beyond the last one too, as an unsigned number.
    u32 row = y - p.top, at = i - 3 * p.left, length = 3 * p.columns;
    if (row >= p.kept) return 0;
    bool whole = (length | at) % 4 == 0;
    uint2 window = p.windows[row];
    const i32 *coefficients = p.coefficients + row * p.taps;
    const u8 *samples = p.rows + (u64)(window.x - p.first_row) * length;
    i32 sums[4] = {1 << (PRECISION_BITS - 1), 1 << (PRECISION_BITS - 1), 1 << (PRECISION_BITS - 1),
                   1 << (PRECISION_BITS - 1)};
#pragma unroll 4
    for (u32 t = 0; t < window.y; t++) {
        u32 four = four_bytes(samples, at, length, whole);
        i32 coefficient = coefficients[t];
#pragma unroll
        for (u32 e = 0; e < 4; e++) sums[e] += byte(four, e) * coefficient;
        samples += length;
    }
    u32 c[4];
#pragma unroll
    for (u32 e = 0; e < 4; e++) c[e] = clamp8((u32)sums[e]);
    return __byte_perm(__byte_perm(c[0], c[1], 0x0040), __byte_perm(c[2], c[3], 0x0040), 0x5410);
}

extern "C" __global__ void __launch_bounds__(ROW_THREADS) resample_rows(PARAMS(ResampleRowsParams) p) {
    u32 y = blockIdx.x, length = 3 * p.width;
    // As pixels, a row is one piece; as patches, a piece is one line of a patch.
    u32 line = length, flip = 0, patches = 1, inner = 0;
    u8 *out = p.out + (u64)y * length;
    if (p.patch_size != 0) {
        line = 3 * p.patch_size;
        flip = 0x80808080;
        patches = p.width / p.patch_size;
        inner = y % p.patch_size;
        out = p.out + (u64)(y / p.patch_size * patches) * p.row_bytes;
    }
    for (u32 i = 4 * threadIdx.x; i < length; i += 4 * ROW_THREADS) {
        u32 four = four_samples(p, y, i) ^ flip, at = i % line;
        u8 *piece = out + i / line * p.row_bytes + inner * line;
        if (line % 4 == 0) {
            *(u32 *)(piece + at) = four;
            continue;
        }
        for (u32 end = min(i + 4, length), e = i; e < end; e++, four >>= 8) {
            piece[at++] = four;
            if (at == line) {
                at = 0;
                piece += p.row_bytes;
            }
        }
    }
    // The first row of a patch also writes the zeros that its bytes are padded with.
    if (p.patch_size == 0 || inner != 0) return;
    u32 used = line * p.patch_size, unused = p.row_bytes - used;
    for (u32 i = threadIdx.x; i < patches * unused; i += ROW_THREADS)
        out[(u64)(i / unused) * p.row_bytes + used + i % unused] = 0;
}
