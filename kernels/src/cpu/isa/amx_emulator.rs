//! AMX-INT8 in software, for tests: the shipped instructions run on processors that refuse them.
//!
//! A refused instruction raises SIGILL. The handler decodes it at the program counter, carries it out on
//! this thread's tiles in memory, and continues behind it. Encodings and meanings are those of Intel's
//! Software Developer's Manual, volume 2 ("LDTILECFG" to "TILEZERO"). What the manual lets fault, and whatever
//! is not AMX, stays an illegal instruction. Stricter than hardware: `start_row` must be 0.

use std::cell::UnsafeCell;
use std::sync::OnceLock;

const TILES: usize = 8;
const MAX_ROWS: usize = 16;
const MAX_ROW_BYTES: usize = 64;

/// A memory operand of ModRM and SIB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    base: Option<u8>,
    /// Register number and left shift.
    index: Option<(u8, u8)>,
    displacement: i32,
    rip_relative: bool,
}

impl Memory {
    /// What the index contributes: to an address, or as the stride of a tile.
    fn scaled_index(&self, registers: &[u64; 16]) -> u64 {
        self.index
            .map_or(0, |(index, shift)| registers[usize::from(index)] << shift)
    }

    /// The address without the index; `next` is the address of the following instruction.
    fn start(&self, registers: &[u64; 16], next: u64) -> u64 {
        let base = self.base.map_or(0, |base| registers[usize::from(base)]);
        let base = if self.rip_relative { next } else { base };
        base.wrapping_add_signed(i64::from(self.displacement))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instruction {
    LoadConfig(Memory),
    Release,
    Zero(usize),
    Load(usize, Memory),
    Store(usize, Memory),
    /// `sum += a . b`, with the signedness of a's and b's bytes.
    Dot {
        sum: usize,
        a: usize,
        b: usize,
        signed: [bool; 2],
    },
}

/// Decodes one instruction from bytes fetched one at a time; its length is the number fetched.
fn decode(mut fetch: impl FnMut() -> u8) -> Option<Instruction> {
    const VEX3: u8 = 0xc4;
    if fetch() != VEX3 {
        return None;
    }
    let (second, third, opcode) = (fetch(), fetch(), fetch());
    let map_0f38 = second & 0x1f == 2;
    let (wide, vector_256) = (third & 0x80 != 0, third & 4 != 0);
    if !map_0f38 || wide || vector_256 {
        return None;
    }
    let extend = |bit: u8| if second & bit == 0 { 8 } else { 0 };
    let (r, x, b) = (extend(0x80), extend(0x40), extend(0x20));
    let vvvv = !(third >> 3) & 0xf;
    let prefix = third & 3;
    let modrm = fetch();
    let (mode, reg, rm) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
    // There are eight tiles: no extension bit may be set for one.
    let tile = usize::from(reg);
    let (none, p66, f3, f2) = (0, 1, 2, 3);
    if opcode == 0x5e {
        let signed = [prefix == f2 || prefix == f3, prefix == f2 || prefix == p66];
        let registers = mode == 3 && r == 0 && b == 0 && vvvv < 8;
        return registers.then_some(Instruction::Dot {
            sum: tile,
            a: usize::from(rm),
            b: usize::from(vvvv),
            signed,
        });
    }
    if r != 0 || vvvv != 0 {
        return None;
    }
    match (opcode, prefix, mode) {
        (0x49, p, 3) if p == none && modrm == 0xc0 => Some(Instruction::Release),
        (0x49, p, 3) if p == f2 && rm == 0 => Some(Instruction::Zero(tile)),
        (0x49, p, 0..=2) if p == none && reg == 0 => {
            Some(Instruction::LoadConfig(memory(mode, rm, x, b, fetch)))
        }
        // Tiles want a SIB byte.
        (0x4b, p, 0..=2) if rm == 4 && p == f3 => {
            Some(Instruction::Store(tile, memory(mode, rm, x, b, fetch)))
        }
        (0x4b, p, 0..=2) if rm == 4 && (p == f2 || p == p66) => {
            Some(Instruction::Load(tile, memory(mode, rm, x, b, fetch)))
        }
        _ => None,
    }
}

/// Decodes the rest of a memory operand; `x` and `b` are 8 where VEX extends index and base.
fn memory(mode: u8, rm: u8, x: u8, b: u8, mut fetch: impl FnMut() -> u8) -> Memory {
    let mut operand = Memory {
        base: Some(rm | b),
        index: None,
        displacement: 0,
        rip_relative: false,
    };
    let mut wide = mode == 2;
    if rm == 4 {
        let sib = fetch();
        let (shift, index, base) = (sib >> 6, sib >> 3 & 7 | x, sib & 7);
        operand.index = (index != 4).then_some((index, shift));
        operand.base = Some(base | b);
        if mode == 0 && base == 5 {
            (operand.base, wide) = (None, true);
        }
    } else if mode == 0 && rm == 5 {
        (operand.base, operand.rip_relative, wide) = (None, true, true);
    }
    if wide {
        operand.displacement = i32::from_le_bytes(std::array::from_fn(|_| fetch()));
    } else if mode == 1 {
        operand.displacement = i32::from(fetch() as i8);
    }
    operand
}

type Tile = [[u8; MAX_ROW_BYTES]; MAX_ROWS];

/// One thread's tile state. Not configured: all shapes are zero.
struct State {
    rows: [usize; TILES],
    row_bytes: [usize; TILES],
    data: [Tile; TILES],
}

impl State {
    const INITIAL: Self = Self {
        rows: [0; TILES],
        row_bytes: [0; TILES],
        data: [[[0; MAX_ROW_BYTES]; MAX_ROWS]; TILES],
    };

    /// The state after `ldtilecfg`; `None` where that faults.
    fn load_config(config: &[u8; 64]) -> Option<Self> {
        let mut state = Self::INITIAL;
        let [palette, start_row, ..] = *config;
        let reserved = config[2..16].iter().chain(&config[32..48]);
        let clear = reserved.chain(&config[56..]).all(|&byte| byte == 0);
        if palette == 0 {
            return Some(state);
        }
        if palette != 1 || start_row != 0 || !clear {
            return None;
        }
        for i in 0..TILES {
            let rows = usize::from(config[48 + i]);
            let row_bytes =
                usize::from(u16::from_le_bytes([config[16 + 2 * i], config[17 + 2 * i]]));
            if rows > MAX_ROWS || row_bytes > MAX_ROW_BYTES || (rows == 0) != (row_bytes == 0) {
                return None;
            }
            (state.rows[i], state.row_bytes[i]) = (rows, row_bytes);
        }
        Some(state)
    }

    fn configured(&self, tile: usize) -> Option<(usize, usize)> {
        (self.rows[tile] != 0).then_some((self.rows[tile], self.row_bytes[tile]))
    }

    fn dot(&mut self, sum: usize, a: usize, b: usize, signed: [bool; 2]) -> Option<()> {
        let ((rows, sum_bytes), (a_rows, a_bytes), (b_rows, b_bytes)) = (
            self.configured(sum)?,
            self.configured(a)?,
            self.configured(b)?,
        );
        let distinct = sum != a && sum != b && a != b;
        let words = [sum_bytes, a_bytes, b_bytes].iter().all(|n| n % 4 == 0);
        if !(distinct && words && rows == a_rows && a_bytes / 4 == b_rows && sum_bytes == b_bytes) {
            return None;
        }
        let value = |byte: u8, signed: bool| {
            if signed {
                i32::from(byte as i8)
            } else {
                i32::from(byte)
            }
        };
        let (a, b) = (self.data[a], self.data[b]);
        let mut result = [[0; MAX_ROW_BYTES]; MAX_ROWS];
        for (m, result) in result[..rows].iter_mut().enumerate() {
            let old = &self.data[sum][m];
            for n in (0..sum_bytes).step_by(4) {
                let mut total = i32::from_le_bytes(std::array::from_fn(|i| old[n + i]));
                for k in 0..a_bytes {
                    let (x, y) = (a[m][k], b[k / 4][n + k % 4]);
                    total = total.wrapping_add(value(x, signed[0]) * value(y, signed[1]));
                }
                result[n..n + 4].copy_from_slice(&total.to_le_bytes());
            }
        }
        self.data[sum] = result;
        Some(())
    }

    /// Carries out `instruction`; `None` where it faults.
    ///
    /// # Safety
    /// Its memory operand must be readable or writable, as the instruction itself would need.
    unsafe fn execute(
        &mut self,
        instruction: Instruction,
        registers: &[u64; 16],
        next: u64,
    ) -> Option<()> {
        match instruction {
            Instruction::LoadConfig(memory) => {
                let at = memory
                    .start(registers, next)
                    .wrapping_add(memory.scaled_index(registers));
                // SAFETY: the caller's.
                let config = unsafe { (at as *const [u8; 64]).read() };
                *self = Self::load_config(&config)?;
            }
            Instruction::Release => *self = Self::INITIAL,
            Instruction::Zero(tile) => {
                self.configured(tile)?;
                self.data[tile] = [[0; MAX_ROW_BYTES]; MAX_ROWS];
            }
            Instruction::Load(tile, memory) => {
                let (rows, row_bytes) = self.configured(tile)?;
                let (mut at, stride) = (
                    memory.start(registers, next),
                    memory.scaled_index(registers),
                );
                self.data[tile] = [[0; MAX_ROW_BYTES]; MAX_ROWS];
                for row in &mut self.data[tile][..rows] {
                    // SAFETY: the caller's.
                    unsafe { (at as *const u8).copy_to(row.as_mut_ptr(), row_bytes) };
                    at = at.wrapping_add(stride);
                }
            }
            Instruction::Store(tile, memory) => {
                let (rows, row_bytes) = self.configured(tile)?;
                let (mut at, stride) = (
                    memory.start(registers, next),
                    memory.scaled_index(registers),
                );
                for row in &self.data[tile][..rows] {
                    // SAFETY: the caller's.
                    unsafe { (at as *mut u8).copy_from(row.as_ptr(), row_bytes) };
                    at = at.wrapping_add(stride);
                }
            }
            Instruction::Dot { sum, a, b, signed } => self.dot(sum, a, b, signed)?,
        }
        Some(())
    }
}

thread_local! {
    /// Constant and without a destructor: a plain address, also for a signal handler.
    static STATE: UnsafeCell<State> = const { UnsafeCell::new(State::INITIAL) };
}

/// Hardware's numbers of the general registers, as places in `ucontext_t`.
const REGISTERS: [i32; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

extern "C" fn on_illegal_instruction(
    _: libc::c_int,
    _: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a valid context to a handler with SA_SIGINFO, for it to change.
    let general = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let registers = REGISTERS.map(|register| general[register as usize] as u64);
    let start = general[libc::REG_RIP as usize] as u64;
    let mut next = start;
    let instruction = decode(|| {
        // SAFETY: the processor has just fetched these bytes: the decoder asks for no more than it would.
        let byte = unsafe { (next as *const u8).read() };
        next += 1;
        byte
    });
    let done = instruction.and_then(|instruction| {
        // SAFETY: the state is this thread's, and the handler cannot interrupt itself. The operand is the
        // interrupted instruction's.
        STATE.with(|state| unsafe { (*state.get()).execute(instruction, &registers, next) })
    });
    if done.is_some() {
        general[libc::REG_RIP as usize] = next as i64;
    } else {
        // SAFETY: `signal` is allowed in a handler. The instruction runs again, and now ends the process.
        unsafe { libc::signal(libc::SIGILL, libc::SIG_DFL) };
    }
}

/// Installs the handler, once; whether it is there.
pub(super) fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        // SAFETY: all zeros is a valid `sigaction`; the handler has the type that SA_SIGINFO asks for.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_illegal_instruction as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut()) == 0
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::arch::asm;

    fn decoded(bytes: &[u8]) -> Option<(Instruction, usize)> {
        let mut rest = bytes.iter();
        let instruction = decode(|| *rest.next().expect("no byte beyond the instruction"))?;
        Some((instruction, bytes.len() - rest.len()))
    }

    #[test]
    fn encodings_that_an_assembler_makes() {
        let memory = |base, index, displacement| Memory {
            base: Some(base),
            index,
            displacement,
            rip_relative: false,
        };
        let dot = |signed| Instruction::Dot {
            sum: 1,
            a: 6,
            b: 4,
            signed,
        };
        for (bytes, instruction) in [
            (&[0xc4, 0xe2, 0x78, 0x49, 0xc0][..], Instruction::Release),
            (&[0xc4, 0xe2, 0x7b, 0x49, 0xd8], Instruction::Zero(3)),
            // ldtilecfg [rdi], [r9 + 16]
            (
                &[0xc4, 0xe2, 0x78, 0x49, 0x07],
                Instruction::LoadConfig(memory(7, None, 0)),
            ),
            (
                &[0xc4, 0xc2, 0x78, 0x49, 0x41, 0x10],
                Instruction::LoadConfig(memory(9, None, 16)),
            ),
            // tileloadd tmm6, [rax + rcx]; tileloadd tmm3, [r8 + 2*r10 - 64]
            (
                &[0xc4, 0xe2, 0x7b, 0x4b, 0x34, 0x08],
                Instruction::Load(6, memory(0, Some((1, 0)), 0)),
            ),
            (
                &[0xc4, 0x82, 0x7b, 0x4b, 0x5c, 0x50, 0xc0],
                Instruction::Load(3, memory(8, Some((10, 1)), -64)),
            ),
            // tilestored [rsi + rdx + 256], tmm2
            (
                &[0xc4, 0xe2, 0x7a, 0x4b, 0x94, 0x16, 0, 1, 0, 0],
                Instruction::Store(2, memory(6, Some((2, 0)), 256)),
            ),
            (&[0xc4, 0xe2, 0x5b, 0x5e, 0xce], dot([true, true])),
            (&[0xc4, 0xe2, 0x5a, 0x5e, 0xce], dot([true, false])),
            (&[0xc4, 0xe2, 0x59, 0x5e, 0xce], dot([false, true])),
            (&[0xc4, 0xe2, 0x58, 0x5e, 0xce], dot([false, false])),
        ] {
            assert_eq!(
                decoded(bytes),
                Some((instruction, bytes.len())),
                "{bytes:x?}"
            );
        }
    }

    #[test]
    fn what_is_not_amx_is_refused() {
        for bytes in [
            [0x0f, 0x0b, 0, 0, 0, 0],             // ud2
            [0xc4, 0xe1, 0x5b, 0x5e, 0xce, 0],    // another map
            [0xc4, 0xe2, 0xdb, 0x5e, 0xce, 0],    // W = 1
            [0xc4, 0xe2, 0x5f, 0x5e, 0xce, 0],    // L = 1
            [0xc4, 0x62, 0x5b, 0x5e, 0xce, 0],    // a tile above 7
            [0xc4, 0xc2, 0x5b, 0x5e, 0xce, 0],    // another
            [0xc4, 0xe2, 0x1b, 0x5e, 0xce, 0],    // and another
            [0xc4, 0xe2, 0x5b, 0x5e, 0x0e, 0],    // a product with memory
            [0xc4, 0xe2, 0x7b, 0x4b, 0x30, 0],    // a tile load without SIB
            [0xc4, 0xe2, 0x73, 0x4b, 0x34, 0x08], // vvvv in use
            [0xc4, 0xe2, 0x7b, 0x49, 0xd9, 0],    // tilezero with a second tile
            [0xc4, 0xe2, 0x78, 0x49, 0xc8, 0],    // tilerelease with a tile
        ] {
            assert_eq!(decoded(&bytes), None, "{bytes:x?}");
        }
    }

    fn config(shapes: &[(u8, u8)]) -> [u8; 64] {
        let mut config = [0; 64];
        config[0] = 1;
        for (i, &(rows, row_bytes)) in shapes.iter().enumerate() {
            config[48 + i] = rows;
            config[16 + 2 * i] = row_bytes;
        }
        config
    }

    #[test]
    fn configurations_that_fault() {
        let good = config(&[(16, 64); 8]);
        assert!(State::load_config(&good).is_some());
        for (at, value) in [(0, 2), (1, 1), (2, 1), (15, 1), (32, 64), (56, 16), (63, 1)] {
            let mut bad = good;
            bad[at] = value;
            assert!(State::load_config(&bad).is_none(), "byte {at}");
        }
        for shape in [(17, 64), (16, 65), (0, 64), (16, 0)] {
            let bad = config(&[(16, 64), shape]);
            assert!(State::load_config(&bad).is_none(), "{shape:?}");
        }
    }

    #[test]
    fn products_need_matching_tiles() {
        let signed = [true; 2];
        let run = |shapes: &[(u8, u8)], [sum, a, b]: [usize; 3]| {
            let mut state = State::load_config(&config(shapes)).expect("valid shapes");
            state.dot(sum, a, b, signed)
        };
        assert!(run(&[(5, 12), (5, 28), (7, 12)], [0, 1, 2]).is_some());
        for shapes in [
            [(4, 12), (5, 28), (7, 12)],
            [(5, 12), (5, 28), (6, 12)],
            [(5, 12), (5, 28), (7, 16)],
            [(5, 10), (5, 28), (7, 10)],
            [(5, 12), (5, 28), (0, 0)],
        ] {
            assert!(run(&shapes, [0, 1, 2]).is_none(), "{shapes:?}");
        }
        for tiles in [[0, 0, 1], [0, 1, 0], [0, 1, 1]] {
            assert!(run(&[(16, 64); 2], tiles).is_none(), "{tiles:?}");
        }
    }

    #[test]
    fn a_small_product_by_hand() {
        let shapes = config(&[(1, 8), (1, 4), (1, 8)]);
        for (signed, want) in [
            ([true, true], [100 - 4 - 9, 100 + 127]),
            ([true, false], [100 + 252 - 9, 100 + 127]),
            ([false, true], [100 - 4 + 255 * 9, 100 + 127]),
            ([false, false], [100 + 252 + 255 * 9, 100 + 127]),
        ] {
            let mut state = State::load_config(&shapes).expect("valid shapes");
            state.data[0] = [[7; MAX_ROW_BYTES]; MAX_ROWS];
            for word in state.data[0][0][..8].as_chunks_mut::<4>().0 {
                *word = 100i32.to_le_bytes();
            }
            state.data[1][0][..4].copy_from_slice(&[1, 2, 255, 0]);
            state.data[2][0][..8].copy_from_slice(&[252, 0, 9, 0, 127, 0, 0, 0]);
            assert!(state.dot(0, 1, 2, signed).is_some());
            let row = &state.data[0][0];
            let word = |i: usize| i32::from_le_bytes(row[i..i + 4].try_into().expect("4 bytes"));
            assert_eq!([word(0), word(4)], want, "{signed:?}");
            assert!(row[8..].iter().all(|&byte| byte == 0));
            assert_eq!(state.data[0][1], [0; MAX_ROW_BYTES]);
        }
    }

    #[test]
    fn an_unconfigured_product_still_kills() {
        assert!(install());
        // SAFETY: the child runs one instruction and `_exit`, both allowed after a fork; the status is ours.
        let status = unsafe {
            let child = libc::fork();
            if child == 0 {
                asm!("tilerelease", "tdpbssd tmm0, tmm1, tmm2");
                libc::_exit(0);
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
            status
        };
        assert!(libc::WIFSIGNALED(status));
        assert_eq!(libc::WTERMSIG(status), libc::SIGILL);
    }
}
