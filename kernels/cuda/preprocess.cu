// A camera frame to network input: unpack, YUV to RGB, resize, crop; in integers, bit for bit what
// `kernels/src/frame` does. Pillow's fixed-point separable resampling: horizontal pass first, 8 bits between.
//
// `resample_columns`: a block takes two source rows that share chroma. A thread converts four pixels of both at
// a time, once, into shared memory; then each makes all samples of an output column. A coefficient has 24 bits:
// three signed bytes, each of which meets four samples in one dot product.
//
// `resample_rows`: a block makes one output row, a thread four samples of it, as pixels or, in place, as rows
// of patches.
//
// Bytes: the frame once; R rows of 3 W bytes written and read again from L2 (R source rows, W output columns).
// Orin Nano Super, 1920 x 1080 NV12 to the middle 224 x 224 of 256, bicubic: 1.4 MB, 17 us of memory.
// That is 2.0 and 0.5 million warp instructions (as PTX), 61 and 15 us at the four a clock that an SM starts.
// dynamic shared: resample_columns 6748
#include "types.cuh"

enum Format { RGB, BGR, GREY, YUYV, UYVY, NV12, NV21, I420 };

struct ResampleColumnsParams {
    const u8 *frame;         // planes without padding
    const u32 *starts;       // (W): first source column, a multiple of 4
    const u32 *coefficients; // (W / 32 rounded up, groups, 3, 32): low, middle and high bytes of four
    u8 *out;                 // (R, W, 3)
    u32 stride;              // bytes of a row of the first plane
    u32 chroma;              // where the first chroma plane starts
    u32 chroma_stride;
    u32 second_chroma; // from the first chroma plane to the second
    u32 first_row;     // of the source, even
    u32 rows;          // R
    u32 first_column;  // of the source, a multiple of 4
    u32 pixels;        // source columns that windows reach, a multiple of 4
    u32 columns;       // W
    u32 groups;        // of four taps
    u32 format;
    i32 black; // see `kernels/src/frame/color.rs`: 13 fractional bits
    i32 luma;
    i32 red_cr;
    i32 green_cb;
    i32 green_cr;
    i32 blue_cb;
    u32 padding;
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
constexpr u32 BLOCK_ROWS = 2; // of the source
// Words that hold four columns in shared memory, three of each row; odd, so that neighbours lie in different
// banks.
constexpr u32 RECORD = 3 * BLOCK_ROWS + 1;
constexpr u32 PRECISION_BITS = 22;
constexpr u32 COLOR_BITS = 13;

// Bytes at .. at + 4 of the row at `row`, 0 beyond its length. WHOLE: they start at a multiple of 4, in memory
// too, and the length is one. Frames are smaller than 2^32 bytes.
template <bool WHOLE>
DEVICE u32 four_bytes(const u8 *data, u32 row, u32 at, u32 length) {
    if (WHOLE) return at < length ? *(const u32 *)(data + (row + at)) : 0;
    u32 bytes = 0;
#pragma unroll
    for (u32 i = 0; i < 4; i++)
        if (at + i < length) bytes |= data[row + at + i] << 8 * i;
    return bytes;
}

DEVICE u32 byte(u32 word, u32 i) { return __byte_perm(word, 0, 0x4440 + i); }

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
DEVICE u32 clamp_and_pack(const u32 (&sums)[4]) {
    u32 c[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++) c[i] = (u32)min(max((i32)sums[i], 0), 0xffffff);
    return __byte_perm(__byte_perm(c[0], c[1], 0x0062), __byte_perm(c[2], c[3], 0x0062), 0x5410);
}

// What two pairs of pixels add to their luma.
struct Chroma {
    u32 red[2], green[2], blue[2];
};

// Y'CbCr to R'G'B' with 16 fractional bits; black, the 128 of chroma and the half that rounds are in the offsets.
struct Conversion {
    u32 luma, red_cr, green_cb, green_cr, blue_cb, red, green, blue;

    DEVICE Conversion(const ResampleColumnsParams &p) {
        constexpr u32 UP = 16 - COLOR_BITS;
        luma = p.luma << UP;
        red_cr = p.red_cr << UP;
        green_cb = p.green_cb << UP;
        green_cr = p.green_cr << UP;
        blue_cb = p.blue_cb << UP;
        u32 offset = (1 << 15) - luma * p.black;
        red = offset - 128 * red_cr;
        green = offset + 128 * (green_cb + green_cr);
        blue = offset - 128 * blue_cb;
    }

    // From Cb and Cr of the first two and of the last two of four pixels.
    DEVICE Chroma chroma(u32 pairs) const {
        Chroma chroma;
#pragma unroll
        for (u32 i = 0; i < 2; i++) {
            u32 cb = byte(pairs, 2 * i), cr = byte(pairs, 2 * i + 1);
            chroma.red[i] = red_cr * cr + red;
            chroma.green[i] = green - green_cb * cb - green_cr * cr;
            chroma.blue[i] = blue_cb * cb + blue;
        }
        return chroma;
    }

    DEVICE Four pixels(u32 y, const Chroma &chroma) const {
        u32 r[4], g[4], b[4];
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            u32 l = byte(y, i);
            r[i] = luma * l + chroma.red[i / 2];
            g[i] = luma * l + chroma.green[i / 2];
            b[i] = luma * l + chroma.blue[i / 2];
        }
        return {clamp_and_pack(r), clamp_and_pack(g), clamp_and_pack(b)};
    }
};

// What a block's rows hold of four pixels: up to three words of each, and of their chroma planes.
struct Words {
    u32 row[BLOCK_ROWS][3], chroma[2];
};

// The words of pixels from x on, a multiple of 4, of the rows from `first` on, an even one of those in question.
// A last row without a partner is taken twice. There are as many words as a pixel has bytes.
template <bool WHOLE>
DEVICE Words load(const ResampleColumnsParams &p, u32 x, u32 first) {
    Words words = {};
    u32 count = p.format <= BGR ? 3 : p.format == YUYV || p.format == UYVY ? 2 : 1;
#pragma unroll
    for (u32 i = 0; i < BLOCK_ROWS; i++) {
        u32 row = (p.first_row + min(first + i, p.rows - 1)) * p.stride;
#pragma unroll
        for (u32 word = 0; word < 3; word++)
            if (word < count) words.row[i][word] = four_bytes<WHOLE>(p.frame, row, count * x + 4 * word, p.stride);
    }
    if (p.format < NV12) return words;
    u32 row = p.chroma + (p.first_row + first) / 2 * p.chroma_stride, at = p.format == I420 ? x / 8 * 4 : x;
    words.chroma[0] = four_bytes<WHOLE>(p.frame, row, at, p.chroma_stride);
    if (p.format == I420)
        words.chroma[1] = four_bytes<WHOLE>(p.frame, row + p.second_chroma, at, p.chroma_stride);
    return words;
}

// Cb and Cr of two pairs of pixels. Chroma is that of the pair, and of the pair of rows: no interpolation.
DEVICE u32 chroma_pairs(const ResampleColumnsParams &p, const u32 (&words)[2], u32 x) {
    u32 shift = x % 8 * 4;
    if (p.format == I420) return __byte_perm(words[0] >> shift, words[1] >> shift, 0x5140);
    return p.format == NV12 ? words[0] : __byte_perm(words[0], 0, 0x2301);
}

// `chroma` is that of planes of it.
DEVICE Four convert(const ResampleColumnsParams &p, const Conversion &conversion, const u32 (&row)[3],
                    const Chroma &chroma) {
    u32 a = row[0], b = row[1], c = row[2];
    if (p.format >= NV12) return conversion.pixels(a, chroma);
    if (p.format == GREY) return {a, a, a};
    if (p.format >= YUYV) {
        u32 even = __byte_perm(a, b, 0x6420), odd = __byte_perm(a, b, 0x7531);
        u32 luma = p.format == YUYV ? even : odd, pairs = p.format == YUYV ? odd : even;
        return conversion.pixels(luma, conversion.chroma(pairs));
    }
    u32 first = __byte_perm(__byte_perm(a, b, 0x0630), c, 0x5210);
    u32 second = __byte_perm(__byte_perm(a, b, 0x0741), c, 0x6210);
    u32 third = __byte_perm(__byte_perm(a, b, 0x0052), c, 0x7410);
    return p.format == RGB ? Four{first, second, third} : Four{third, second, first};
}

// Unpacks the block's rows.
template <bool WHOLE>
DEVICE void unpack(const ResampleColumnsParams &p, u32 first, u32 *fours) {
    Conversion conversion(p);
    for (u32 i = threadIdx.x; i < p.pixels / 4; i += COLUMN_THREADS) {
        u32 x = p.first_column + 4 * i;
        Words words = load<WHOLE>(p, x, first);
        Chroma chroma = conversion.chroma(chroma_pairs(p, words.chroma, x));
#pragma unroll
        for (u32 row = 0; row < BLOCK_ROWS; row++) {
            Four four = convert(p, conversion, words.row[row], chroma);
            u32 *record = fours + i * RECORD + 3 * row;
            record[0] = four.red;
            record[1] = four.green;
            record[2] = four.blue;
        }
    }
}

DEVICE u32 clamp8(u32 sum) { return (u32)min(max((i32)sum >> PRECISION_BITS, 0), 255); }

extern "C" __global__ void __launch_bounds__(COLUMN_THREADS, 4)
    resample_columns(PARAMS(ResampleColumnsParams) p) {
    extern __shared__ u32 fours[]; // (pixels / 4, RECORD)
    u32 first = BLOCK_ROWS * blockIdx.x;
    // Planes are packed: if their rows are made of fours, they start at multiples of four.
    if ((p.stride | p.chroma_stride) % 4 == 0)
        unpack<true>(p, first, fours);
    else
        unpack<false>(p, first, fours);
    __syncthreads();
    for (u32 x = threadIdx.x; x < p.columns; x += COLUMN_THREADS) {
        const u32 *record = fours + (p.starts[x] - p.first_column) / 4 * RECORD;
        const u32 *coefficients = p.coefficients + x / WARP * p.groups * 3 * WARP + lane_id();
        u32 sums[3 * BLOCK_ROWS][3] = {};
#pragma unroll 2
        for (u32 group = 0; group < p.groups; group++) {
            u32 parts[3];
#pragma unroll
            for (u32 part = 0; part < 3; part++) parts[part] = coefficients[part * WARP];
#pragma unroll
            for (u32 i = 0; i < 3 * BLOCK_ROWS; i++)
#pragma unroll
                for (u32 part = 0; part < 3; part++) sums[i][part] = dot(record[i], parts[part], sums[i][part]);
            coefficients += 3 * WARP;
            record += RECORD;
        }
#pragma unroll
        for (u32 i = 0; i < 3 * BLOCK_ROWS; i++) {
            u32 row = first + i / 3, sum = sums[i][0] + (sums[i][1] << 8) + (sums[i][2] << 16);
            if (row < p.rows)
                p.out[((u64)row * p.columns + x) * 3 + i % 3] = clamp8(sum + (1 << (PRECISION_BITS - 1)));
        }
    }
}

DEVICE void add(u32 (&sums)[4], u32 four, u32 coefficient) {
#pragma unroll
    for (u32 i = 0; i < 4; i++) sums[i] += byte(four, i) * coefficient;
}

// Samples i .. i + 4 of output row y. Black beyond the resized frame.
DEVICE u32 four_samples(const ResampleRowsParams &p, u32 y, u32 i) {
    // What is before the first kept row or column is beyond the last one too, as an unsigned number.
    u32 row = y - p.top, at = i - 3 * p.left, length = 3 * p.columns;
    if (row >= p.kept) return 0;
    bool whole = (length | at) % 4 == 0;
    uint2 window = p.windows[row];
    const i32 *coefficients = p.coefficients + row * p.taps;
    u32 first = (window.x - p.first_row) * length;
    constexpr u32 HALF = 1 << (PRECISION_BITS - 1);
    u32 sums[4] = {HALF, HALF, HALF, HALF};
    if (!whole) {
        for (u32 t = 0; t < window.y; t++)
            add(sums, four_bytes<false>(p.rows, first + t * length, at, length), coefficients[t]);
    } else if (at < length) {
        const u8 *next = p.rows + (first + at);
#pragma unroll 4
        for (u32 t = 0; t < window.y; t++, next += length) add(sums, *(const u32 *)next, coefficients[t]);
    }
    u32 c[4];
#pragma unroll
    for (u32 e = 0; e < 4; e++) c[e] = clamp8(sums[e]);
    return __byte_perm(__byte_perm(c[0], c[1], 0x0040), __byte_perm(c[2], c[3], 0x0040), 0x5410);
}

extern "C" __global__ void __launch_bounds__(ROW_THREADS) resample_rows(PARAMS(ResampleRowsParams) p) {
    u32 y = blockIdx.x, length = 3 * p.width;
    // As pixels, a row is one piece; as patches, a piece is one line of a patch, and what is beyond the last whole one
    // is nobody's.
    u32 line = length, flip = 0, patches = 1, inner = 0, used_length = length;
    u8 *out = p.out + (u64)y * length;
    if (p.patch_size != 0) {
        line = 3 * p.patch_size;
        flip = 0x80808080;
        patches = p.width / p.patch_size;
        used_length = patches * line;
        inner = y % p.patch_size;
        out = p.out + (u64)(y / p.patch_size * patches) * p.row_bytes;
    }
    for (u32 i = 4 * threadIdx.x; i < used_length; i += 4 * ROW_THREADS) {
        u32 four = four_samples(p, y, i) ^ flip, at = i % line;
        u8 *piece = out + i / line * p.row_bytes + inner * line;
        if (line % 4 == 0) {
            *(u32 *)(piece + at) = four;
            continue;
        }
        for (u32 end = min(i + 4, used_length), e = i; e < end; e++, four >>= 8) {
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
