//! Holds launches to what they declare to access.

use crate::cuda::{Access, Address, Launch};
use mergevit_emulator::{Memory, MemoryError};

/// A range of memory, in bytes, and what a launch declares to do with it.
pub(super) struct Range {
    access: Access,
    at: Address,
    bytes: usize,
}

impl Range {
    const fn end(&self) -> Address {
        self.at.offset(self.bytes)
    }
}

/// The ranges that a launch declares, in the order of their addresses; those that are only read and overlap become
/// one.
pub(super) fn declared(launch: &Launch) -> Result<Vec<Range>, String> {
    let mut accesses = launch.accesses().to_vec();
    accesses.sort_by_key(|&(_, at, _)| at);
    let mut ranges: Vec<Range> = Vec::new();
    for (access, at, bytes) in accesses {
        let range = Range { access, at, bytes };
        match ranges.last_mut().filter(|last| last.end() > at) {
            None => ranges.push(range),
            Some(last) if (last.access, access) == (Access::Read, Access::Read) => {
                let end = last.end().max(range.end());
                last.bytes = (end.0 - last.at.0) as usize;
            }
            Some(last) => {
                let (before, start) = (last.access, last.at);
                return Err(format!("{access:?} at {at:?}, {before:?} at {start:?}"));
            }
        }
    }
    Ok(ranges)
}

/// Memory of these ranges alone: what is read has its content, what is only written has none.
pub(super) fn isolated(ranges: &[Range], all: &Memory) -> Result<Memory, MemoryError> {
    let mut memory = Memory::new();
    for &Range { access, at, bytes } in ranges {
        let content = all.read(at.0, bytes)?;
        memory.allocate_at(at.0, bytes);
        if access.reads() {
            memory.write(at.0, &content)?;
        }
    }
    Ok(memory)
}

/// Copies what a launch has written; refuses a launch that has written to what it declares only to read, or not to
/// all that it declares to write.
pub(super) fn take_back(ranges: &[Range], from: &Memory, all: &mut Memory) -> Result<(), String> {
    for &Range { access, at, bytes } in ranges {
        let named = |error: MemoryError| format!("{access:?} of {bytes} bytes at {at:?}: {error}");
        let content = from.read(at.0, bytes).map_err(named)?;
        if access.writes() {
            all.write(at.0, &content).map_err(named)?;
        } else if content != all.read(at.0, bytes).map_err(named)? {
            return Err(format!("wrote to what it declares to read at {at:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::testing::{Emulated, Options};
    use crate::cuda::{
        Accesses, Device, Kernel, LayerNormParams, NormParams, Params, Target, layer_norm,
    };

    const ROWS: usize = 4;
    const WIDTH: usize = 64;

    /// A layer norm that declares the right accesses, or in cases 1 to 5 others.
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(transparent)]
    struct Declaring<const CASE: u8>(LayerNormParams);

    impl<const CASE: u8> Params for Declaring<CASE> {
        fn accesses(&self, kernel: Kernel, grid: [u32; 3]) -> Accesses {
            let params = &self.0;
            let inputs = Accesses::new()
                .read(params.norm.gain, 4 * WIDTH)
                .read(params.norm.bias, 4 * WIDTH);
            let (input, output) = (2 * ROWS * WIDTH, ROWS * WIDTH);
            match CASE {
                0 => params.accesses(kernel, grid),
                1 => inputs.write(params.output, output),
                2 => inputs.read(params.input, input).read(params.output, output),
                3 => {
                    let less = output - 1;
                    inputs.read(params.input, input).write(params.output, less)
                }
                4 => {
                    let more = output + 1;
                    inputs.read(params.input, input).write(params.output, more)
                }
                _ => inputs.read(params.input, input).write(params.input, output),
            }
        }
    }

    fn run<const CASE: u8>() -> Result<(), String> {
        let mut device = Emulated::new(Target::ORIN_NANO, Options::default());
        let mut room = |bytes: usize| device.allocate(bytes + 1).expect("memory");
        let params = LayerNormParams {
            input: room(2 * ROWS * WIDTH),
            output: room(ROWS * WIDTH),
            norm: NormParams {
                gain: room(4 * WIDTH),
                bias: room(4 * WIDTH),
                width: WIDTH as u32,
                count: WIDTH as u32,
                epsilon: 1e-6,
                ..NormParams::default()
            },
            rows: ROWS as u32,
            ..LayerNormParams::default()
        };
        let bias = [1f32; WIDTH];
        let written = device.write(params.norm.bias, bytemuck::cast_slice(&bias));
        written.expect("the host writes");
        let honest = layer_norm(&params);
        let launch = Launch::new(
            honest.kernel,
            honest.grid,
            honest.threads,
            honest.shared_bytes,
            &Declaring::<CASE>(params),
        );
        device.launch(&launch).map_err(|error| error.reason)
    }

    #[test]
    fn a_launch_that_does_other_than_it_declares_is_refused() {
        assert_eq!(run::<0>(), Ok(()));
        let refused = |result: Result<(), String>, expected: &str| {
            let reason = result.expect_err(expected);
            assert!(reason.contains(expected), "{reason}");
        };
        refused(run::<1>(), "out of bounds");
        refused(run::<2>(), "wrote to what it declares to read");
        refused(run::<3>(), "out of bounds");
        refused(run::<4>(), "Write of 257 bytes");
        refused(run::<5>(), "Write at");
    }
}
