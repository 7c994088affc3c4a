// Elementwise arithmetic of the contract (`kernels/NUMERICS.md`), bit for bit that of `kernels/src/math.rs`.
//
// Compiled with --fmad=false: nothing is contracted but what says `__fmaf_rn`.
#pragma once
#include "types.cuh"

// 1.5 * 2^23. Adding it to |x| <= 2^22 leaves rne(x) in the low bits of the sum; an integer n with
// |n| < 2^22 added to its bits gives the float MAGIC + n. Both replace conversions, of which an SM does 16
// a clock, by additions, of which it does 128.
constexpr float MAGIC = 12582912.0f;
constexpr i32 MAGIC_BITS = 0x4b400000;

// clamp(rne(x), -127, 127) as the low byte, whatever the others; of NaN it is -127. The low byte of MAGIC's bits
// is zero, so nothing needs subtracting.
DEVICE u32 sat8(float x) {
    float clamped = fminf(fmaxf(x, -127.0f), 127.0f);
    return float_bits(__fadd_rn(clamped, MAGIC));
}

// The low bytes of four words, the first lowest.
DEVICE u32 pack4(u32 a, u32 b, u32 c, u32 d) {
    u32 ab = __byte_perm(a, b, 0x0040);
    u32 cd = __byte_perm(c, d, 0x0040);
    return __byte_perm(ab, cd, 0x5410);
}

// x Phi(x), degree 12; `math::gelu`.
DEVICE float gelu(float x) {
    constexpr float LIMIT = 5.1f;
    constexpr float MAP = (float)(2.0 / (5.1 * 5.1));
    float a = fminf(fabsf(x), LIMIT);
    float t = __fmaf_rn(__fmul_rn(a, a), MAP, -1.0f);
    float p = 0.00065437466f;
    p = __fmaf_rn(p, t, -0.0019570477f);
    p = __fmaf_rn(p, t, 0.0024040807f);
    p = __fmaf_rn(p, t, -0.0032291685f);
    p = __fmaf_rn(p, t, 0.006860141f);
    p = __fmaf_rn(p, t, -0.012024595f);
    p = __fmaf_rn(p, t, 0.017465442f);
    p = __fmaf_rn(p, t, -0.02401636f);
    p = __fmaf_rn(p, t, 0.031716023f);
    p = __fmaf_rn(p, t, -0.040218674f);
    p = __fmaf_rn(p, t, 0.050782956f);
    p = __fmaf_rn(p, t, -0.06900326f);
    p = __fmaf_rn(p, t, 0.13860528f);
    float tail = __fmaf_rn(-a, p, 0.5f);
    return __fmaf_rn(-a, tail, fmaxf(x, 0.0f));
}

// MAGIC + rne(255 * 2^x) for x <= 0, as bits: the softmax numerator is the low byte; `math::exp2_255`.
DEVICE u32 exp2_255_bits(float x) {
    x = fmaxf(x, -16.0f);
    float shifted = __fadd_rn(x, MAGIC);
    float f = __fsub_rn(x, __fsub_rn(shifted, MAGIC));
    float p = 2.4436276f;
    p = __fmaf_rn(p, f, 14.256138f);
    p = __fmaf_rn(p, f, 61.26145f);
    p = __fmaf_rn(p, f, 176.74667f);
    p = __fmaf_rn(p, f, 255.0f);
    // The integer part of x goes into the exponent field; the bits of MAGIC itself are shifted out.
    float scaled = bits_float(float_bits(p) + (float_bits(shifted) << 23));
    return float_bits(__fadd_rn(scaled, MAGIC));
}

// f16 is carried as its bits: conversions are all that is done with it.
DEVICE float half_to_float(u16 h) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
    return f;
}

DEVICE u16 float_to_half(float f) {
    u16 h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
    return h;
}

DEVICE float low_half(u32 pair) { return half_to_float((u16)(pair & 0xffff)); }
DEVICE float high_half(u32 pair) { return half_to_float((u16)(pair >> 16)); }
DEVICE u32 half_pair(float low, float high) {
    u32 pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}
