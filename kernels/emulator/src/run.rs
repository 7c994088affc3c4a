//! Runs a launch: blocks one after another.

use crate::block::Block;
use crate::counts::Counts;
use crate::device::memory::{Memory, Place};
use crate::device::shared::Shared;
use crate::device::visibility::{BlockView, Releases};
use crate::exec::Environment;
use crate::fault::{Fault, Rule};
use crate::launch::{Launch, Shape};
use crate::module::Module;
use crate::options::{BlockOrder, Options, Random};

/// Runs a kernel to its end.
///
/// # Errors
/// [`Fault`]: the first rule that the kernel breaks, or a launch that no device would accept. What was written so
/// far stays written.
pub fn run(
    module: &Module,
    launch: &Launch<'_>,
    memory: &mut Memory,
    options: &Options,
) -> Result<Counts, Fault> {
    let refuse = |what: String| Fault {
        kernel: launch.kernel.into(),
        line: 0,
        instruction: "".into(),
        block: [0; 3],
        threads: Box::default(),
        rule: Rule::Launch(what),
    };
    let kernel = module
        .kernels
        .iter()
        .find(|kernel| kernel.name == launch.kernel);
    let kernel = kernel.ok_or_else(|| refuse("the module has no such kernel".into()))?;
    let shape = Shape::check(kernel, launch).map_err(refuse)?;
    let checks = options.checks;
    let first = memory.begin_launch();
    let env = Environment {
        variables: &module.variables,
        params: launch.params,
        shared: Shared::new(
            shape.shared_bytes,
            (checks.initialised, checks.shared_races),
        ),
        view: BlockView::new(first, (checks.initialised, checks.global_races)),
        releases: Releases::default(),
        counts: Counts::default(),
        hint: Place::START,
        initialised: checks.initialised,
        memory,
    };
    let mut block = Block::new(kernel, launch, shape.warps, env, options);
    for index in order(options.order, shape.blocks) {
        block.run(index).map_err(|failure| failure.name(module))?;
    }
    Ok(block.into_counts())
}

/// The numbers of all blocks, in the order in which they run.
fn order(order: BlockOrder, blocks: u32) -> Vec<u32> {
    let mut indices: Vec<u32> = (0..blocks).collect();
    match order {
        BlockOrder::Ascending => {}
        BlockOrder::Descending => indices.reverse(),
        BlockOrder::Shuffled(seed) => {
            let mut random = Random::new(seed);
            for i in (1..indices.len()).rev() {
                indices.swap(i, random.below(i + 1));
            }
        }
    }
    indices
}
