//! Modules with one broken synchronising instruction, which a good test suite must notice.

use crate::cuda::{Kernel, Module};
use mergevit_emulator as emulator;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// One broken instruction of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// The kernel that has it.
    pub kernel: Kernel,
    /// Its line of the PTX, from 1.
    pub line: usize,
    /// The instruction of the shipped module, e.g. `bar.sync 0;`.
    pub instruction: String,
    instead: String,
}

impl Mutant {
    fn ptx(&self, module: Module) -> String {
        let mut lines: Vec<&str> = module.ptx().lines().collect();
        lines[self.line - 1] = &self.instead;
        lines.join("\n")
    }
}

/// What is broken: a barrier or a fence goes, a copy is not waited for, or copies join the next group.
fn broken(instruction: &str) -> Option<String> {
    let waits = instruction.strip_prefix("cp.async.wait_group ");
    if let Some(pending) = waits.and_then(|rest| rest.strip_suffix(';')) {
        let pending: u32 = pending.trim().parse().ok()?;
        return Some(format!("cp.async.wait_group {};", pending + 1));
    }
    let gone = ["bar.sync", "membar.gl", "cp.async.commit_group"];
    let goes = gone.iter().any(|start| instruction.starts_with(start));
    goes.then(String::new)
}

fn mutants(module: Module) -> Vec<Mutant> {
    let mut kernel = None;
    let mut found = Vec::new();
    for (index, line) in module.ptx().lines().enumerate() {
        if let Some((_, name)) = line.split_once(".entry ") {
            let name = name.trim_end_matches('(');
            kernel = Kernel::all().find(|kernel| kernel.name() == name);
        }
        let instruction = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(instead) = broken(&instruction) {
            found.push(Mutant {
                kernel: kernel.expect("instructions are inside a kernel"),
                line: index + 1,
                instruction,
                instead,
            });
        }
    }
    found
}

thread_local! {
    static REPLACED: RefCell<Option<(Module, Rc<emulator::Module>)>> = const { RefCell::new(None) };
}

/// The module that stands in for a shipped one on this thread.
pub(super) fn replaced(module: Module) -> Option<Rc<emulator::Module>> {
    REPLACED.with_borrow(|replaced| match replaced {
        Some((of, mutant)) if *of == module => Some(Rc::clone(mutant)),
        _ => None,
    })
}

/// Breaks the barriers, fences, waits and groups of copies of a module, one at a time, and has each broken
/// kernel exercised on devices that [`Emulated`](super::Emulated) makes on this thread. Returns those
/// that nobody noticed: neither a fault nor a failed assertion.
///
/// # Panics
/// If the unchanged module does not pass, or does not synchronise at all.
pub fn unnoticed_mutants(module: Module, exercise: impl Fn(Kernel)) -> Vec<Mutant> {
    let mut mutants = mutants(module);
    assert!(!mutants.is_empty(), "{module:?} does not synchronise");
    for of_kernel in mutants.chunk_by(|a, b| a.kernel == b.kernel) {
        exercise(of_kernel[0].kernel);
    }
    mutants.retain(|mutant| {
        let parsed = emulator::Module::parse(&mutant.ptx(module))
            .expect("without an instruction it still parses");
        REPLACED.set(Some((module, Rc::new(parsed))));
        let passes = catch_unwind(AssertUnwindSafe(|| exercise(mutant.kernel))).is_ok();
        REPLACED.set(None);
        passes
    });
    mutants
}
