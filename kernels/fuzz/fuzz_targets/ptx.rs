//! Any text is a module or is refused by line; any kernel of a module runs to its end, to a fault or to the limit,
//! and does the same when it runs again.
//!
//! An input is one byte each with the threads of a block and the bytes of parameters and of dynamic shared memory
//! (in units of 8), then the text. Every parameter of 8 bytes is the address of a buffer.

#![no_main]

use mergevit_emulator::{Counts, Fault, Launch, Memory, Module, Options, run};

/// Warp instructions of a launch: enough for loops to go round.
const INSTRUCTIONS: u64 = 256;
const BUFFER: usize = 512;

fn launch(module: &Module, kernel: &str, sizes: [u8; 3]) -> Result<Counts, Fault> {
    let [threads, params, shared] = sizes;
    let mut memory = Memory::new();
    let address = memory.upload(&[1; BUFFER]).to_le_bytes();
    let params = address.repeat(usize::from(params));
    let launch = Launch {
        kernel,
        grid: [2, 1, 1],
        block: [u32::from(threads), 1, 1],
        shared_bytes: 8 * u32::from(shared),
        params: &params,
    };
    let options = Options::default().with_instruction_limit(INSTRUCTIONS);
    run(module, &launch, &mut memory, &options)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&sizes, text)) = bytes.split_first_chunk::<3>() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    match Module::parse(text) {
        Ok(module) => {
            for kernel in module.kernels() {
                let result = launch(&module, kernel, sizes);
                assert_eq!(result, launch(&module, kernel, sizes), "{kernel}");
            }
        }
        Err(error) => {
            assert!(error.line >= 1 && error.line as usize <= text.lines().count().max(1));
        }
    }
});
