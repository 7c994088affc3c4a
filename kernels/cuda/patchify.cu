// Pixels at model resolution to patches: (B, S, S, 3) u8 to (B, patches, row) i8, pixel - 128, in (y, x,
// colour) order; rows are padded with zeros. A block makes one patch, a thread four bytes of it.
//
// Bytes: 3 S^2 read and written an image. Orin Nano Super, 224 pixels at batch 1: 300 kB: 4 us of memory.
#include "types.cuh"

struct PatchifyParams {
    const u8 *pixels; // (B, S, S, 3)
    i8 *patches;      // (B, patches, row)
    u32 image_size;   // S
    u32 patch_size;
    u32 row; // bytes of a patch row, a multiple of 64
    u32 padding;
};

constexpr u32 THREADS = 128;

extern "C" __global__ void __launch_bounds__(THREADS) patchify(PARAMS(PatchifyParams) p) {
    u32 side = p.image_size / p.patch_size, line = 3 * p.patch_size;
    u32 top = blockIdx.x / side * p.patch_size, left = blockIdx.x % side * line;
    const u8 *image = p.pixels + (u64)blockIdx.y * p.image_size * p.image_size * 3;
    const u8 *corner = image + (u64)top * p.image_size * 3 + left;
    u32 *out = (u32 *)(p.patches + ((u64)blockIdx.y * gridDim.x + blockIdx.x) * p.row);
    // Four bytes never straddle two lines if both lines and images are made of fours.
    bool aligned = line % 4 == 0 && p.image_size * 3 % 4 == 0;
    for (u32 word = threadIdx.x; word < p.row / 4; word += THREADS) {
        u32 at = 4 * word, value = 0;
        if (aligned) {
            u32 y = at / line;
            if (y < p.patch_size)
                value = *(const u32 *)(corner + (u64)y * p.image_size * 3 + at % line) ^ 0x80808080u;
        } else {
            for (u32 i = 0; i < 4; i++) {
                u32 y = (at + i) / line;
                if (y >= p.patch_size) break;
                u32 pixel = corner[(u64)y * p.image_size * 3 + (at + i) % line];
                value |= (pixel ^ 0x80) << 8 * i;
            }
        }
        out[word] = value;
    }
}
