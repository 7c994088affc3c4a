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

// The low bytes of four words, or of each another one, the first word's lowest.
template <u32 BYTE = 0>
DEVICE u32 pack4(u32 a, u32 b, u32 c, u32 d) {
    u32 ab = __byte_perm(a, b, 0x0040 + 0x0011 * BYTE);
    u32 cd = __byte_perm(c, d, 0x0040 + 0x0011 * BYTE);
    return __byte_perm(ab, cd, 0x5410);
}

// x s(x) with s(-x) = 1 - s(x), as data; `math::Activation`.
struct Activation {
    float limit;
    float map;      // 2 / limit
    float poly[10]; // lowest power first
};

DEVICE float activate(const Activation &f, float x) {
    float a = fminf(fabsf(x), f.limit);
    float t = __fmaf_rn(a, f.map, -1.0f);
    float q = f.poly[9];
#pragma unroll
    for (i32 i = 8; i >= 0; i--) q = __fmaf_rn(q, t, f.poly[i]);
    return __fmaf_rn(-a, q, fmaxf(x, 0.0f));
}

// Cosine and sine of whole turns; `math::cos_sin`.
DEVICE float2 cos_sin(float turns) {
    float u = __fsub_rn(turns, rintf(turns));
    float w = __fmul_rn(u, u);
    float c = 6.5458918f;
    c = __fmaf_rn(c, w, -25.98146f);
    c = __fmaf_rn(c, w, 60.171906f);
    c = __fmaf_rn(c, w, -85.45077f);
    c = __fmaf_rn(c, w, 64.93916f);
    c = __fmaf_rn(c, w, -19.739206f);
    c = __fmaf_rn(c, w, 1.0f);
    float s = -12.271261f;
    s = __fmaf_rn(s, w, 41.205395f);
    s = __fmaf_rn(s, w, -76.5801f);
    s = __fmaf_rn(s, w, 81.596184f);
    s = __fmaf_rn(s, w, -41.341423f);
    s = __fmaf_rn(s, w, 6.2831826f);
    return make_float2(c, __fmul_rn(u, s));
}

// 2^15 and an offset in 1/256, at most 255, that makes a softmax numerator of a query and a key, by their numbers in the
// image; `math::softmax_offset`. It repeats after 8 queries and 32 keys.
DEVICE float softmax_offset(u32 query, u32 key) {
    return bits_float(0x47000000 | (97 * (query % 8) + 152 * key) % 256);
}

// A softmax numerator before it is rounded; `math::exp2_255`.
DEVICE float exp2_255(float x) {
    x = fmaxf(x, -24.0f);
    float shifted = __fadd_rn(x, MAGIC);
    float f = __fsub_rn(x, __fsub_rn(shifted, MAGIC));
    float p = 2.4436276f;
    p = __fmaf_rn(p, f, 14.256138f);
    p = __fmaf_rn(p, f, 61.26145f);
    p = __fmaf_rn(p, f, 176.74667f);
    p = __fmaf_rn(p, f, 255.0f);
    // The integer part of x goes into the exponent field; the bits of MAGIC itself are shifted out.
    return bits_float(float_bits(p) + (float_bits(shifted) << 23));
}

// A softmax numerator in the second byte, beside other bits; `math::softmax_weight`.
DEVICE u32 softmax_weight(float x, float offset) { return float_bits(__fadd_rn(exp2_255(x), offset)); }

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
