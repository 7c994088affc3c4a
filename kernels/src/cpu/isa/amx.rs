//! AMX-INT8: 16 x 16 sums of 64 products an instruction; everything else is AVX-512's.
//!
//! Weights are the first operand, in place: 16 rows of 64 bytes. A vector of the panel, `[K / 4][16][4]`, is
//! the second as it stands. Both signs have their instruction, so no byte is flipped.

use super::avx512::Avx512Vnni;
use super::{Block, CHANNELS, Flip, Isa, Sign, Sums};
use half::f16;
use std::arch::asm;
use std::arch::x86_64::*;
use std::hint::black_box;

/// Proof that the processor has AMX-INT8 and what [`Avx512Vnni`] proves, and that the process may use it.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct AmxInt8(Avx512Vnni);

impl AmxInt8 {
    pub(in crate::cpu) fn new() -> Option<Self> {
        let avx512 = Avx512Vnni::new()?;
        let usable = present() && permitted();
        // Unit tests run on any processor with AVX-512, the tiles in software where it has none.
        #[cfg(all(test, target_os = "linux"))]
        let usable = usable || super::amx_emulator::install();
        usable.then_some(Self(avx512))
    }
}

/// Whether processor and operating system know tiles. Expects AVX-512, and so leaf 7 and XGETBV.
fn present() -> bool {
    const AMX_TILE: u32 = 1 << 24;
    const AMX_INT8: u32 = 1 << 25;
    const TILE_STATE: u64 = 0b11 << 17;
    #[target_feature(enable = "xsave")]
    fn enabled_state() -> u64 {
        // SAFETY: the operating system that enables AVX-512 has enabled this instruction.
        unsafe { _xgetbv(0) }
    }
    let features = __cpuid_count(7, 0).edx;
    // SAFETY: processors with AVX-512 have XSAVE.
    let state = unsafe { enabled_state() };
    features & (AMX_TILE | AMX_INT8) == AMX_TILE | AMX_INT8 && state & TILE_STATE == TILE_STATE
}

/// Asks for the right to use tiles, which Linux grants to a process and all its threads.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    // asm/prctl.h, and the number of the tile data state component.
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILE_DATA: libc::c_long = 18;
    // SAFETY: two plain numbers; no memory of this process is read or written.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_arch_prctl,
            ARCH_REQ_XCOMP_PERM,
            XFEATURE_XTILE_DATA,
        )
    };
    answer == 0
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// The operand of `ldtilecfg` (Intel's manual, volume 1, section 18.2): palette 1, eight tiles of 16 rows of
/// 64 bytes.
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static FULL_TILES: TileConfig = TileConfig {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// While it lives, this thread's tiles are configured; afterwards a thread switch need not save them.
struct Configured;

impl Configured {
    #[inline(always)]
    fn new(_: AmxInt8) -> Self {
        // SAFETY: the argument proves the instruction; it reads the 64 bytes of the static.
        unsafe {
            asm!("ldtilecfg [{0}]", in(reg) &raw const FULL_TILES, options(readonly, nostack, preserves_flags));
        }
        Self
    }
}

impl Drop for Configured {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: `new` ran, so the instruction is there; no tile is in use any more.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
    }
}

/// Bytes from one step of 64 along K to the next in a vector of the panel.
const PANEL_STEP: usize = 64 * 16;

/// `$dot` over all of K for the vectors listed: number, panel pointer, tile of sums, tile of panel bytes.
macro_rules! multiply {
    ($dot:literal, $block:expr, $sums:expr, $($v:literal $panel:ident $c:literal $b:literal),*) => {
        asm!(
            $(concat!("tilezero ", $c),)*
            "2:",
            "tileloadd tmm6, [{weights} + {weight_stride}]",
            $(
                concat!("tileloadd ", $b, ", [{", stringify!($panel), "} + {line}]"),
                concat!("add {", stringify!($panel), "}, {panel_step}"),
                concat!($dot, " ", $c, ", tmm6, ", $b),
            )*
            "add {weights}, 64",
            "sub {left}, 64",
            "jnz 2b",
            $(concat!("tilestored [{sums} + {sum_stride} + 64*", $v, "], ", $c),)*
            weights = inout(reg) $block.weights => _,
            weight_stride = in(reg) $block.weight_stride,
            $($panel = inout(reg) $block.panel.add($v * $block.vector_stride) => _,)*
            line = in(reg) 64usize,
            left = inout(reg) $block.inner => _,
            sums = in(reg) $sums.0.as_mut_ptr(),
            sum_stride = in(reg) 64 * <AmxInt8 as Isa>::VECTORS,
            panel_step = const PANEL_STEP,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// Methods that are AVX-512's.
macro_rules! avx512 {
    ($(fn $name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $type),*) $(-> $result)? {
            self.0.$name($($arg),*)
        }
    )*};
}

impl Isa for AmxInt8 {
    const LANES: usize = Avx512Vnni::LANES;
    const VECTORS: usize = 3;
    const INNER_STEP: usize = 64;
    const SIGNED: Flip = Flip::NONE;
    const UNSIGNED: Flip = Flip::NONE;

    type I32 = __m512i;
    type F32 = __m512;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        self.0.vectorize(
            #[inline(always)]
            || {
                let _configured = Configured::new(self);
                f()
            },
        )
    }

    /// `start` is all zeros, as no flip asks for a correction.
    #[inline(always)]
    unsafe fn block(self, block: &Block, vectors: usize, start: &[i32; CHANNELS], sums: &mut Sums) {
        debug_assert_eq!(start, &[0; CHANNELS]);
        block.ahead.request(self);
        // SAFETY: `self` proves the instructions, and `vectorize` around all kernels configures the tiles.
        // Reads 16 rows of `inner` weights and `vectors` vectors of the panel, which the caller vouches for;
        // writes `[channel][vector][lane]` sums, which is what `Sums` holds.
        unsafe {
            match (block.sign, vectors) {
                (Sign::Signed, 3) => multiply!("tdpbssd", block, sums,
                    0 p0 "tmm0" "tmm3", 1 p1 "tmm1" "tmm4", 2 p2 "tmm2" "tmm5"),
                (Sign::Signed, 2) => multiply!("tdpbssd", block, sums,
                    0 p0 "tmm0" "tmm3", 1 p1 "tmm1" "tmm4"),
                (Sign::Signed, _) => multiply!("tdpbssd", block, sums, 0 p0 "tmm0" "tmm3"),
                (Sign::Unsigned, 3) => multiply!("tdpbsud", block, sums,
                    0 p0 "tmm0" "tmm3", 1 p1 "tmm1" "tmm4", 2 p2 "tmm2" "tmm5"),
                (Sign::Unsigned, 2) => multiply!("tdpbsud", block, sums,
                    0 p0 "tmm0" "tmm3", 1 p1 "tmm1" "tmm4"),
                (Sign::Unsigned, _) => multiply!("tdpbsud", block, sums, 0 p0 "tmm0" "tmm3"),
            }
        }
    }

    #[inline(always)]
    fn saturate(self, steps: usize) -> usize {
        const SUMS: usize = 6;
        let operand = black_box([1u8; 16 * 64]);
        // SAFETY: `self` proves the instructions, and the caller is inside `vectorize`; reads `operand`.
        unsafe {
            asm!(
                "tileloadd tmm6, [{operand} + {line}]",
                "tileloadd tmm7, [{operand} + {line}]",
                "2:",
                "tdpbssd tmm0, tmm6, tmm7",
                "tdpbssd tmm1, tmm6, tmm7",
                "tdpbssd tmm2, tmm6, tmm7",
                "tdpbssd tmm3, tmm6, tmm7",
                "tdpbssd tmm4, tmm6, tmm7",
                "tdpbssd tmm5, tmm6, tmm7",
                "sub {left}, 1",
                "jnz 2b",
                operand = in(reg) operand.as_ptr(),
                line = in(reg) 64usize,
                left = inout(reg) steps.max(1) => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(readonly, nostack),
            );
        }
        steps.max(1) * SUMS * 16 * 16 * 64
    }

    #[inline(always)]
    fn shift_left<const BITS: u32>(self, a: __m512i) -> __m512i {
        self.0.shift_left::<BITS>(a)
    }

    avx512! {
        fn prefetch(at: *const i8);
        fn load_i32(from: &[i32]) -> __m512i;
        fn load_words(from: &[i8]) -> __m512i;
        fn store_i32(value: __m512i, to: &mut [i32]);
        fn store_i8(value: __m512i, to: &mut [i8]);
        fn load_f32(from: &[f32]) -> __m512;
        fn store_f32(value: __m512, to: &mut [f32]);
        fn load_f16(from: &[f16]) -> __m512;
        fn store_f16(value: __m512, to: &mut [f16]);
        fn splat_i32(value: i32) -> __m512i;
        fn splat_f32(value: f32) -> __m512;
        fn add_i32(a: __m512i, b: __m512i) -> __m512i;
        fn xor_i32(a: __m512i, b: __m512i) -> __m512i;
        fn max_i32(a: __m512i, b: __m512i) -> __m512i;
        fn second_bytes(words: [__m512i; 4]) -> __m512i;
        fn add_bytes(sum: __m512i, bytes: __m512i) -> __m512i;
        fn to_f32(a: __m512i) -> __m512;
        fn to_i32(a: __m512) -> __m512i;
        fn bits(a: __m512) -> __m512i;
        fn float_of_bits(a: __m512i) -> __m512;
        fn add(a: __m512, b: __m512) -> __m512;
        fn sub(a: __m512, b: __m512) -> __m512;
        fn mul(a: __m512, b: __m512) -> __m512;
        fn div(a: __m512, b: __m512) -> __m512;
        fn max(a: __m512, b: __m512) -> __m512;
        fn min(a: __m512, b: __m512) -> __m512;
        fn abs(a: __m512) -> __m512;
        fn fma(a: __m512, b: __m512, c: __m512) -> __m512;
        fn fnma(a: __m512, b: __m512, c: __m512) -> __m512;
        fn round(a: __m512) -> __m512;
        fn rotate(pairs: __m512, turns: __m512) -> __m512;
        fn sat8(x: __m512) -> __m512i;
        fn transpose(rows: &mut [__m512i]);
        fn byte_rows(columns: &mut [__m512i]) -> [[i8; 16]; 16];
        fn sum_lanes(vectors: &mut [__m512i]) -> __m512i;
    }
}
