// One wrapper for each Tensor Core and asynchronous-copy instruction.
// PTX ISA manual 8.5: 9.7.14 "Warp Level Matrix Multiply-Accumulate", 9.7.9.25 "cp.async".
#pragma once
#include "types.cuh"

DEVICE u32 shared_address(const void *p) { return (u32)__cvta_generic_to_shared(p); }

// Rows of 64 bytes in shared memory are four chunks of 16, what one `ldmatrix` row is. It reads one chunk of
// eight rows at a time: chunks are permuted by the row's number, so that those eight lie in different banks.
constexpr u32 ROW_BYTES = 64;
constexpr u32 CHUNK = 16;
constexpr u32 CHUNKS = ROW_BYTES / CHUNK;
DEVICE u32 place(u32 row, u32 chunk) { return row * ROW_BYTES + (chunk ^ (row / 2 % CHUNKS)) * CHUNK; }

// Copies 16 bytes from global to shared memory behind the caller's back; zeros if `valid` is false.
DEVICE void copy_async_16(u32 shared, const void *global, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"(shared), "l"(global), "r"(valid ? 16 : 0)
                 : "memory");
}

// Copies 16 bytes likewise if that is wanted, and has L2 fetch the whole line: for what is read on and on. The predicate is
// the instruction's own: a branch would keep the compiler from placing copies among what comes next.
DEVICE void copy_async_16_if(bool wanted, u32 shared, const void *global) {
    asm volatile("{ .reg .pred p; setp.ne.u32 p, %2, 0; @p cp.async.cg.shared.global.L2::128B [%0], [%1], 16; }"
                 :: "r"(shared), "l"(global), "r"((u32)wanted)
                 : "memory");
}

// Closes a group of this thread's copies.
DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most PENDING of this thread's groups are under way.
template <u32 PENDING>
DEVICE void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" :: "n"(PENDING) : "memory");
}

// 16 bytes of shared memory.
DEVICE void load_shared(u32 (&r)[4], u32 shared) {
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared)
                 : "memory");
}

// Four 8 x 8 matrices of 16-bit elements (8 rows of 16 bytes each). Lane l gives the address of row l % 8
// of matrix l / 8 and receives bytes 4 (l % 4) .. of row l / 4 of each matrix.
DEVICE void load_matrices(u32 (&r)[4], u32 shared) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared)
                 : "memory");
}

// As above, two matrices: lanes 0 to 15 give the addresses.
DEVICE void load_matrices(u32 (&r)[2], u32 shared) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(shared)
                 : "memory");
}

// Four, transposed: the lane receives 16-bit column l / 4 of rows 2 (l % 4) and 2 (l % 4) + 1.
DEVICE void load_matrices_transposed(u32 (&r)[4], u32 shared) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared)
                 : "memory");
}

// c (16 x 8) += a (16 x 32, signed bytes) * b (32 x 8, signed bytes). With g = lane / 4 and q = lane % 4:
// a[0], a[1]: rows g, g + 8, bytes k = 4q ..; a[2], a[3]: the same rows, k = 16 + 4q ..
// b[0], b[1]: column g, bytes k = 4q .. and 16 + 4q ..
// c[0], c[1]: row g, columns 2q, 2q + 1; c[2], c[3]: row g + 8.
DEVICE void multiply_s8(i32 (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// As above with unsigned bytes in a.
DEVICE void multiply_u8s8(i32 (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
