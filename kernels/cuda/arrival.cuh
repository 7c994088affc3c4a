// Several blocks leave parts of a result in global memory; the one that arrives last sees all of them.
#pragma once
#include "types.cuh"

// Whether this block is the last of `blocks` to arrive, after all its threads have written their parts. The
// counter wraps to zero with the last arrival, ready for the next launch. `before` is a word of shared memory
// that nobody else uses: how many had arrived before.
DEVICE bool arrives_last(u32 *arrived, u32 blocks, u32 *before) {
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) *before = atomicInc(arrived, blocks - 1);
    __syncthreads();
    __threadfence();
    return *before == blocks - 1;
}
