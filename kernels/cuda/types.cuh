// Integer types by width (NVRTC compiles without any header) and small helpers that every kernel uses.
#pragma once

typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef unsigned long long u64;

#define DEVICE __device__ __forceinline__
// A kernel's parameters are one struct, passed by value; a file of the same name in `kernels/src/cuda` has it in Rust.
#define PARAMS(type) const __grid_constant__ type

// Lanes of a warp, and the mask of all of them.
constexpr u32 WARP = 32;
constexpr u32 ALL = 0xffffffffu;

DEVICE constexpr u32 ceil_div(u32 a, u32 b) { return (a + b - 1) / b; }
DEVICE constexpr u32 round_up(u32 a, u32 b) { return ceil_div(a, b) * b; }

DEVICE u32 lane_id() { return threadIdx.x % WARP; }
DEVICE u32 warp_id() { return threadIdx.x / WARP; }

DEVICE u32 float_bits(float x) { return __float_as_uint(x); }
DEVICE float bits_float(u32 x) { return __uint_as_float(x); }

// The same value, of which the compiler does not know how it came about: it keeps it instead of computing it anew where
// registers look scarce.
DEVICE u32 kept(u32 x) {
    asm volatile("" : "+r"(x));
    return x;
}

// WORDS words from an address that is a multiple of 16 bytes, or of 8 if they are no multiple of 16.
template <u32 WORDS>
DEVICE void load_words(u32 (&words)[WORDS], const void *from) {
#pragma unroll
    for (u32 i = 0; i < WORDS; i += WORDS % 4 ? 2 : 4) {
        if (WORDS % 4) {
            uint2 k = *(const uint2 *)((const u32 *)from + i);
            words[i] = k.x, words[i + 1] = k.y;
        } else {
            uint4 k = *(const uint4 *)((const u32 *)from + i);
            words[i] = k.x, words[i + 1] = k.y, words[i + 2] = k.z, words[i + 3] = k.w;
        }
    }
}

// Eight floats from an address that is a multiple of 16 bytes.
DEVICE void load_floats(float (&x)[8], const float *from) {
    *(float4 *)x = *(const float4 *)from;
    *(float4 *)(x + 4) = *(const float4 *)(from + 4);
}

// The same of what nothing writes: the compiler may keep what it has read over writes.
DEVICE void load_constants(float (&x)[8], const float *from) {
    *(float4 *)x = __ldg((const float4 *)from);
    *(float4 *)(x + 4) = __ldg((const float4 *)(from + 4));
}

// A load that reads what other blocks of this launch have written (cached in L2 only).
DEVICE uint4 load_from_l2(const uint4 *p) {
    uint4 v;
    asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p)
                 : "memory");
    return v;
}
