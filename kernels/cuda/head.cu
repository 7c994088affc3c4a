// The classifier: activations 256 high + low (B, K), weights (N, K) i8, to logits (B, N) f32.
//
// One Tensor Core product takes the high bytes of eight images as its first eight rows and their low bytes as
// the others, so that a lane ends up with both sums of the same image and class. A block makes eight classes,
// its warps share K; all operands come straight from global memory, 16 bytes a lane, in an order of k that is
// the same for both and otherwise of no importance.
//
// Bytes: N K. Operations: 16 N K multiply-accumulates for up to 8 images. Orin Nano Super, 1000 classes,
// K = 768: 0.77 MB, 10 us of memory.
#include "numerics.cuh"
#include "tensor.cuh"

struct HeadParams {
    const i8 *high;     // (B, K)
    const i8 *low;      // (B, K)
    const i8 *weights;  // (N, K)
    const float *scale; // (N)
    const float *bias;  // (N)
    float *logits;      // (B, N)
    u32 batch;          // B
    u32 classes;        // N
    u32 inputs;         // K, a multiple of 64
    u32 padding;
};

constexpr u32 THREADS = 128;
constexpr u32 WARPS = THREADS / WARP;
constexpr u32 CLASSES = 8; // of a block
constexpr u32 IMAGES = 8;  // of a block
constexpr u32 STEP = 64;   // bytes of K that a warp takes at a time, 16 a lane

// This warp's part of the sums: high of the lane's two classes, then low.
DEVICE void multiply(const HeadParams &p, u32 image, u32 first, i32 (&sums)[4]) {
    u32 quarter = lane_id() % 4 * 16;
    // Beyond the last class or image any row will do: the result is discarded.
    u64 row = min(first + lane_id() / 4, p.classes - 1);
    u64 at = (u64)min(image, p.batch - 1) * p.inputs + quarter;
    const i8 *weights = p.weights + row * p.inputs + quarter;
#pragma unroll 2
    for (u32 k = warp_id() * STEP; k < p.inputs; k += WARPS * STEP) {
        uint4 w = *(const uint4 *)(weights + k);
        uint4 h = *(const uint4 *)(p.high + at + k), l = *(const uint4 *)(p.low + at + k);
        const u32 first_half[4] = {h.x, l.x, h.y, l.y}, second_half[4] = {h.z, l.z, h.w, l.w};
        multiply_s8(sums, first_half, w.x, w.y);
        multiply_s8(sums, second_half, w.z, w.w);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) head(PARAMS(HeadParams) p) {
    __shared__ i32 parts[WARPS][4][WARP];
    u32 lane = lane_id(), image = blockIdx.y * IMAGES + lane / 4, first = blockIdx.x * CLASSES;
    i32 sums[4] = {};
    multiply(p, image, first, sums);
#pragma unroll
    for (u32 i = 0; i < 4; i++) parts[warp_id()][i][lane] = sums[i];
    __syncthreads();
    if (warp_id() != 0) return;
#pragma unroll
    for (u32 warp = 1; warp < WARPS; warp++)
#pragma unroll
        for (u32 i = 0; i < 4; i++) sums[i] += parts[warp][i][lane];
#pragma unroll
    for (u32 i = 0; i < 2; i++) {
        u32 n = first + lane % 4 * 2 + i;
        if (n >= p.classes || image >= p.batch) continue;
        float scale = p.scale[n], fine = __fmaf_rn((float)sums[2 + i], scale, p.bias[n]);
        p.logits[(u64)image * p.classes + n] = __fmaf_rn((float)sums[i], __fmul_rn(256.0f, scale), fine);
    }
}
