// What block_sum.ptx is compiled from: `nvcc -ptx -arch=compute_80 block_sum.cu`, or NVRTC.

// Adds up each block's 256 numbers.
extern "C" __global__ void block_sum(const int *numbers, int *sums) {
    __shared__ int partial[256];
    partial[threadIdx.x] = numbers[blockIdx.x * 256 + threadIdx.x];
    __syncthreads();
#pragma unroll 1
    for (unsigned half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            partial[threadIdx.x] += partial[threadIdx.x + half];
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = partial[0];
    }
}

// The same without the barrier in the loop: right on most GPUs most of the time.
extern "C" __global__ void block_sum_racy(const int *numbers, int *sums) {
    __shared__ int partial[256];
    partial[threadIdx.x] = numbers[blockIdx.x * 256 + threadIdx.x];
    __syncthreads();
#pragma unroll 1
    for (unsigned half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            partial[threadIdx.x] += partial[threadIdx.x + half];
        }
    }
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = partial[0];
    }
}
