// A camera frame to network input: unpack, YUV to RGB, resize, crop; in integers, bit for bit what
// `kernels/src/frame` does. Pillow's fixed-point separable resampling: horizontal pass first, 8 bits between.
//
// `resample_columns`: a block takes one source row that some output row reads; each source pixel is converted
// once, into shared memory, and each output sample is a window of it. `resample_rows`: a block makes one output
// row, as pixels or, in place, as rows of patches.
//
// Bytes: the frame once; R rows of 3 W bytes written and read again from L2 (R source rows, W output columns).
// Operations: taps multiply-adds a sample. Orin Nano Super, 1280 x 720 NV12 to 224 x 224: 1.4 MB, 17 us of
// memory; 720 x 224 x 3 samples of 14 taps and as many of the second pass, 8 us on 8 SMs.
#include "types.cuh"

enum Format { RGB, BGR, GREY, YUYV, UYVY, NV12, NV21, I420 };

struct ResampleColumnsParams {
    const u8 *frame;         // planes without padding
    const uint2 *windows;    // (W): first source column, number of columns
    const i32 *coefficients; // (W, taps), 22 fractional bits
    u8 *out;                 // (R, W, 3)
    u32 stride;              // bytes of a row of the first plane
    u32 chroma;              // where the first chroma plane starts
    u32 chroma_stride;
    u32 second_chroma; // from the first chroma plane to the second
    u32 first_row;     // of the source
    u32 first_column;  // of the source
    u32 pixels;        // source columns that windows reach, at most MAX_SIDE
    u32 columns;       // W
    u32 taps;
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

constexpr u32 THREADS = 256;
constexpr u32 MAX_SIDE = 8192;
constexpr u32 PRECISION_BITS = 22;
constexpr u32 COLOR_BITS = 13;

DEVICE u32 clamp8(i32 x) { return (u32)min(max(x, 0), 255); }

DEVICE uchar3 to_rgb(const ResampleColumnsParams &p, i32 y, i32 cb, i32 cr) {
    i32 luma = p.luma * (y - p.black) + (1 << (COLOR_BITS - 1));
    cb -= 128;
    cr -= 128;
    return make_uchar3(clamp8((luma + p.red_cr * cr) >> COLOR_BITS),
                       clamp8((luma - p.green_cb * cb - p.green_cr * cr) >> COLOR_BITS),
                       clamp8((luma + p.blue_cb * cb) >> COLOR_BITS));
}

// Pixel (x, y) of the frame. Chroma is that of the pair, and of the pair of rows: no interpolation.
DEVICE uchar3 pixel(const ResampleColumnsParams &p, u32 x, u32 y) {
    const u8 *row = p.frame + (u64)y * p.stride;
    const u8 *pair = row + x / 2 * 4;
    const u8 *chroma = p.frame + p.chroma + (u64)(y / 2) * p.chroma_stride;
    switch (p.format) {
    case RGB: return make_uchar3(row[3 * x], row[3 * x + 1], row[3 * x + 2]);
    case BGR: return make_uchar3(row[3 * x + 2], row[3 * x + 1], row[3 * x]);
    case GREY: return make_uchar3(row[x], row[x], row[x]);
    case YUYV: return to_rgb(p, pair[x % 2 * 2], pair[1], pair[3]);
    case UYVY: return to_rgb(p, pair[x % 2 * 2 + 1], pair[0], pair[2]);
    case NV12: return to_rgb(p, row[x], chroma[x / 2 * 2], chroma[x / 2 * 2 + 1]);
    case NV21: return to_rgb(p, row[x], chroma[x / 2 * 2 + 1], chroma[x / 2 * 2]);
    default: return to_rgb(p, row[x], chroma[x / 2], chroma[p.second_chroma + x / 2]);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) resample_columns(PARAMS(ResampleColumnsParams) p) {
    __shared__ u8 planes[3][MAX_SIDE];
    for (u32 x = threadIdx.x; x < p.pixels; x += THREADS) {
        uchar3 rgb = pixel(p, p.first_column + x, p.first_row + blockIdx.x);
        planes[0][x] = rgb.x;
        planes[1][x] = rgb.y;
        planes[2][x] = rgb.z;
    }
    __syncthreads();
    for (u32 i = threadIdx.x; i < 3 * p.columns; i += THREADS) {
        uint2 window = p.windows[i / 3];
        const u8 *samples = planes[i % 3] + (window.x - p.first_column);
        const i32 *coefficients = p.coefficients + i / 3 * p.taps;
        i32 sum = 1 << (PRECISION_BITS - 1);
        for (u32 t = 0; t < window.y; t++) sum += samples[t] * coefficients[t];
        p.out[(u64)blockIdx.x * 3 * p.columns + i] = clamp8(sum >> PRECISION_BITS);
    }
}

// Sample i of output row y: column i / 3, colour i % 3. Black beyond the resized frame.
DEVICE u32 sample(const ResampleRowsParams &p, u32 y, u32 i) {
    // What is before the first kept row or column is beyond the last one too, as an unsigned number.
    u32 row = y - p.top, column = i / 3 - p.left;
    if (row >= p.kept || column >= p.columns) return 0;
    uint2 window = p.windows[row];
    const i32 *coefficients = p.coefficients + row * p.taps;
    const u8 *samples = p.rows + ((u64)(window.x - p.first_row) * p.columns + column) * 3 + i % 3;
    i32 sum = 1 << (PRECISION_BITS - 1);
    for (u32 t = 0; t < window.y; t++) sum += samples[(u64)t * 3 * p.columns] * coefficients[t];
    return clamp8(sum >> PRECISION_BITS);
}

extern "C" __global__ void __launch_bounds__(THREADS) resample_rows(PARAMS(ResampleRowsParams) p) {
    u32 y = blockIdx.x, line = 3 * p.patch_size;
    for (u32 i = threadIdx.x; i < 3 * p.width; i += THREADS) {
        u32 value = sample(p, y, i);
        if (p.patch_size == 0) {
            p.out[(u64)y * 3 * p.width + i] = value;
        } else {
            u32 patch = y / p.patch_size * (p.width / p.patch_size) + i / line;
            p.out[(u64)patch * p.row_bytes + y % p.patch_size * line + i % line] = value ^ 0x80;
        }
    }
    // The first row of a patch also writes the zeros that its bytes are padded with.
    if (p.patch_size == 0 || y % p.patch_size != 0) return;
    u32 used = line * p.patch_size, unused = p.row_bytes - used, side = p.width / p.patch_size;
    for (u32 i = threadIdx.x; i < side * unused; i += THREADS)
        p.out[(u64)(y / p.patch_size * side + i / unused) * p.row_bytes + used + i % unused] = 0;
}
