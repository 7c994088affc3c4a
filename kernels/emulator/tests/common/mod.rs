//! PTX snippets as kernels.
#![allow(dead_code, reason = "every test binary uses its own part")]

use mergevit_emulator::{Checks, Counts, Fault, Launch, Memory, Module, Options, Rule, run};

/// A kernel `test` around a body. `%rd0` to `%rd3` hold up to four pointers, `%r0` is the thread's number in x;
/// sixty registers of each type are declared.
pub(crate) fn text(variables: &str, body: &str) -> String {
    format!(
        ".version 8.5\n.target sm_80\n.address_size 64\n{variables}\n\
         .visible .entry test(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u64 p3)\n{{\n\
         .reg .pred %p<60>;\n.reg .b16 %h<60>;\n.reg .b32 %r<60>;\n.reg .f32 %f<60>;\n\
         .reg .b64 %rd<60>;\n.reg .f64 %fd<60>;\n\
         ld.param.u64 %rd0, [p0];\nld.param.u64 %rd1, [p1];\nld.param.u64 %rd2, [p2];\n\
         ld.param.u64 %rd3, [p3];\nmov.u32 %r0, %tid.x;\n{body}\nret;\n}}\n"
    )
}

/// A parsed kernel, its memory and how to launch it.
pub(crate) struct Bench {
    pub(crate) module: Module,
    pub(crate) memory: Memory,
    pub(crate) pointers: [u64; 4],
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    pub(crate) shared_bytes: u32,
    pub(crate) options: Options,
}

impl Bench {
    /// One warp, no pointers yet.
    pub(crate) fn new(variables: &str, body: &str) -> Self {
        let text = text(variables, body);
        let module = Module::parse(&text).unwrap_or_else(|error| {
            let line = text
                .lines()
                .nth(error.line as usize - 1)
                .unwrap_or_default();
            panic!("{error}: {line}")
        });
        Self {
            module,
            memory: Memory::new(),
            pointers: [0; 4],
            grid: [1; 3],
            block: [32, 1, 1],
            shared_bytes: 0,
            options: Options::default(),
        }
    }

    pub(crate) fn threads(mut self, threads: u32) -> Self {
        self.block[0] = threads;
        self
    }

    pub(crate) fn blocks(mut self, blocks: u32) -> Self {
        self.grid[0] = blocks;
        self
    }

    pub(crate) fn shared(mut self, bytes: u32) -> Self {
        self.shared_bytes = bytes;
        self
    }

    /// Passes words to the kernel as its pointer number `index`.
    pub(crate) fn words(mut self, index: usize, words: &[u32]) -> Self {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.pointers[index] = self.memory.upload(&bytes);
        self
    }

    /// Reserves words that nothing wrote for pointer number `index`.
    pub(crate) fn room(mut self, index: usize, words: usize) -> Self {
        self.pointers[index] = self.memory.allocate(4 * words);
        self
    }

    pub(crate) fn run(&mut self) -> Result<Counts, Fault> {
        let params: Vec<u8> = self
            .pointers
            .iter()
            .flat_map(|pointer| pointer.to_le_bytes())
            .collect();
        let launch = Launch {
            kernel: "test",
            grid: self.grid,
            block: self.block,
            shared_bytes: self.shared_bytes,
            params: &params,
        };
        run(&self.module, &launch, &mut self.memory, &self.options)
    }

    /// Runs without a fault.
    pub(crate) fn succeed(&mut self) -> Counts {
        self.run().unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// Runs into a fault.
    pub(crate) fn fault(&mut self) -> Fault {
        self.run().expect_err("the fault must be found")
    }

    pub(crate) fn read(&self, index: usize, words: usize) -> Vec<u32> {
        let bytes = self.memory.read(self.pointers[index], 4 * words).unwrap();
        bytes
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
            .collect()
    }
}

/// What one warp leaves in 32 words at `%rd0` when every lane stores `%r9`, with `inputs` at `%rd1`.
pub(crate) fn lanes(variables: &str, body: &str, inputs: &[u32]) -> Vec<u32> {
    let store =
        "mul.wide.u32 %rd50, %r0, 4;\nadd.s64 %rd50, %rd0, %rd50;\nst.global.u32 [%rd50], %r9;";
    let mut bench = Bench::new(variables, &format!("{body}\n{store}"));
    bench = bench.room(0, 32).words(1, inputs);
    bench.succeed();
    bench.read(0, 32)
}

/// Loads the lane's own input word into `%r1`.
pub(crate) const LOAD: &str =
    "mul.wide.u32 %rd51, %r0, 4;\nadd.s64 %rd51, %rd1, %rd51;\nld.global.u32 %r1, [%rd51];";

pub(crate) const UNCHECKED: Checks = Checks::NONE;

/// Whether a fault breaks a rule of this kind, by the start of its message.
pub(crate) fn breaks(fault: &Fault, kind: &str) -> bool {
    let rule: &Rule = &fault.rule;
    rule.to_string().starts_with(kind)
}
