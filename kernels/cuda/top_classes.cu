// Results to the host: the best classes, logits (B, N) to (B, K) pairs of class and logit, best first, of equals
// the lower class; and copies of logits and sizes where the host sees them, which may lie beyond a bus, so
// that nothing else needs to read there. One block an image; each round finds the best of those that come
// after the last.
//
// Bytes: 4 N + 4 T copied; K times 4 N, from L2. Orin Nano Super, 1000 classes, K = 8: 5 us, of which 2 are
// the launch.
#include "types.cuh"

struct TopParams {
    const float *logits; // (B, N)
    const u32 *sizes;    // (B, T)
    uint2 *top;          // (B, K): class and bits of the logit; class 2^32 - 1 where classes run out
    float *host_logits;  // (B, N)
    u32 *host_sizes;     // (B, T)
    u32 classes;         // N
    u32 tokens;          // T
    u32 count;           // K
    u32 padding;
};

constexpr u32 THREADS = 256;
constexpr u32 WARPS = THREADS / WARP;

// Ascends as IEEE 754's total order of the logit, then as the class descends; never 0.
DEVICE u64 key(float logit, u32 n) {
    u32 bits = float_bits(logit);
    u32 order = bits ^ ((bits >> 31) ? 0xffffffffu : 0x80000000u);
    return (u64)order << 32 | (0xffffffffu - n);
}

DEVICE u64 larger(u64 a, u64 b) { return a > b ? a : b; }

// The largest key of all threads, to all of them.
DEVICE u64 block_max(u64 own, u64 *shared) {
#pragma unroll
    for (u32 across = WARP / 2; across > 0; across /= 2) {
        u32 high = __shfl_xor_sync(ALL, (u32)(own >> 32), across);
        u32 low = __shfl_xor_sync(ALL, (u32)own, across);
        own = larger(own, (u64)high << 32 | low);
    }
    if (lane_id() == 0) shared[warp_id()] = own;
    __syncthreads();
    own = 0;
#pragma unroll
    for (u32 warp = 0; warp < WARPS; warp++) own = larger(own, shared[warp]);
    // The next round writes there.
    __syncthreads();
    return own;
}

extern "C" __global__ void __launch_bounds__(THREADS) top_classes(PARAMS(TopParams) p) {
    __shared__ u64 best[WARPS];
    const float *logits = p.logits + (u64)blockIdx.x * p.classes;
    for (u32 n = threadIdx.x; n < p.classes; n += THREADS)
        p.host_logits[(u64)blockIdx.x * p.classes + n] = logits[n];
    for (u32 t = threadIdx.x; t < p.tokens; t += THREADS)
        p.host_sizes[blockIdx.x * p.tokens + t] = p.sizes[blockIdx.x * p.tokens + t];
    u64 last = ~0ull;
    for (u32 k = 0; k < p.count; k++) {
        u64 own = 0;
        for (u32 n = threadIdx.x; n < p.classes; n += THREADS) {
            u64 candidate = key(logits[n], n);
            if (candidate < last) own = larger(own, candidate);
        }
        last = block_max(own, best);
        if (threadIdx.x == 0) {
            u32 n = 0xffffffffu - (u32)last;
            p.top[blockIdx.x * p.count + k] = make_uint2(n, last ? float_bits(logits[n]) : 0);
        }
    }
}
