// Weights on their way from memory to L2 while a launch computes that needs little of either: the linear layer that follows
// finds them there.
#pragma once
#include "types.cuh"

struct Prefetch {
    const u8 *from; // null: nothing
    u32 bytes;
    u32 padding;
};

constexpr u32 CACHE_LINE = 128;

// All threads of a launch ask for lines in turns. Nobody waits for them.
DEVICE void prefetch(const Prefetch &next) {
    u32 block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    u32 threads = gridDim.x * gridDim.y * gridDim.z * blockDim.x;
    for (u32 line = block * blockDim.x + threadIdx.x; line * CACHE_LINE < next.bytes; line += threads)
        asm volatile("prefetch.global.L2 [%0];" ::"l"(next.from + line * CACHE_LINE));
}
