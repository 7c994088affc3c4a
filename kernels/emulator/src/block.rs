//! A block: its warps take turns, at random but reproducibly, and meet at barriers.

use crate::counts::Counts;
use crate::exec::{Environment, Progress, execute};
use crate::fault::{Fault, Rule, Trouble};
use crate::launch::Launch;
use crate::module::Module;
use crate::op::{ALL, Barrier, BarrierKind, Kernel, LANES, Op, Special};
use crate::options::{Options, Random};
use crate::warp::{State, Warp};

/// Barriers of a block (PTX ISA "bar": "each CTA instance has sixteen barriers numbered 0..15").
const BARRIERS: usize = 16;

/// Most instructions of a warp before another may get its turn.
const TURN: usize = 256;

/// A fault whose kernel and line are not spelled out yet.
pub(crate) struct Failure {
    kernel: Box<str>,
    line: u32,
    block: [u32; 3],
    threads: Box<[u32]>,
    rule: Rule,
}

impl Failure {
    pub(crate) fn name(self, module: &Module) -> Fault {
        Fault {
            kernel: self.kernel,
            line: self.line,
            instruction: module.line(self.line).into(),
            block: self.block,
            threads: self.threads,
            rule: self.rule,
        }
    }
}

/// What waits at one of the block's barriers.
#[derive(Clone, Copy, Debug, Default)]
struct Meeting {
    /// Warps that wait.
    waiting: u32,
    /// Warps that came, waiting or not.
    arrived: u32,
    /// Threads that came.
    threads: u32,
    /// Threads that must come.
    expected: u32,
    /// Of a reduction: threads whose predicate was true.
    votes: u32,
}

/// The running block, reused for all blocks of a launch.
pub(crate) struct Block<'a> {
    kernel: &'a Kernel,
    grid: [u32; 3],
    threads: [u32; 3],
    dynamic_shared: u32,
    warps: Vec<Warp>,
    env: Environment<'a>,
    meetings: [Meeting; BARRIERS],
    random: Random,
    index: [u32; 3],
    instructions: u64,
    instruction_limit: u64,
}

impl<'a> Block<'a> {
    pub(crate) fn new(
        kernel: &'a Kernel,
        launch: &Launch<'_>,
        warps: usize,
        env: Environment<'a>,
        options: &Options,
    ) -> Self {
        Self {
            kernel,
            grid: launch.grid,
            threads: launch.block,
            dynamic_shared: launch.shared_bytes,
            warps: (0..warps).map(|id| Warp::new(id, kernel)).collect(),
            env,
            meetings: [Meeting::default(); BARRIERS],
            random: Random::new(options.warp_seed),
            index: [0; 3],
            instructions: 0,
            instruction_limit: options.instruction_limit,
        }
    }

    pub(crate) fn into_counts(self) -> Counts {
        self.env.counts
    }

    fn thread_count(&self) -> u32 {
        self.threads.iter().product()
    }

    /// Runs the block with this number to its end.
    pub(crate) fn run(&mut self, index: u32) -> Result<(), Failure> {
        let [x, y, _] = self.grid;
        self.index = [index % x, index / x % y, index / x / y];
        self.env.view.begin_block(index, self.warps.len());
        self.env.shared.begin_block(self.warps.len());
        self.meetings = [Meeting::default(); BARRIERS];
        self.env.counts.blocks += 1;
        for warp in 0..self.warps.len() {
            self.begin_warp(warp);
        }
        let mut ready: Vec<usize> = (0..self.warps.len()).collect();
        while !ready.is_empty() {
            let chosen = self.random.below(ready.len());
            let turn = 1 + self.random.below(TURN);
            self.advance(ready[chosen], turn)?;
            ready.clear();
            ready.extend((0..self.warps.len()).filter(|&w| self.warps[w].state == State::Ready));
        }
        self.all_done()
    }

    fn begin_warp(&mut self, warp: usize) {
        let first = (warp * LANES) as u32;
        let lanes = (self.thread_count() - first).min(LANES as u32);
        let [nx, ny, _] = self.threads;
        let (threads, grid, index) = (self.threads, self.grid, self.index);
        let (warps, dynamic_shared) = (self.warps.len() as u32, self.dynamic_shared);
        let value = |special: Special, lane: u32| {
            let thread = first + lane;
            let (below, own) = ((1u32 << lane) - 1, 1u32 << lane);
            match special {
                Special::Tid(axis) => [thread % nx, thread / nx % ny, thread / nx / ny][axis],
                Special::Ntid(axis) => threads[axis],
                Special::Ctaid(axis) => index[axis],
                Special::Nctaid(axis) => grid[axis],
                Special::Lane => lane,
                Special::Warp => warp as u32,
                Special::Warps => warps,
                Special::MaskEq => own,
                Special::MaskLt => below,
                Special::MaskLe => below | own,
                Special::MaskGt => !(below | own),
                Special::MaskGe => !below,
                Special::DynamicShared => dynamic_shared,
            }
        };
        let state = &mut self.warps[warp];
        for &(reg, special) in &self.kernel.specials {
            state.words[reg as usize] = std::array::from_fn(|lane| value(special, lane as u32));
        }
        state.begin(if lanes == 32 { ALL } else { (1 << lanes) - 1 });
    }

    /// Lets a warp execute up to `turn` instructions, or until it waits or ends.
    fn advance(&mut self, warp: usize, turn: usize) -> Result<(), Failure> {
        let kernel = self.kernel;
        for _ in 0..turn {
            let state = &mut self.warps[warp];
            if state.state != State::Ready {
                return Ok(());
            }
            if state.mask == 0 {
                return Err(self.stuck(warp));
            }
            let instruction = &kernel.code[state.pc as usize];
            let active = match instruction.guard {
                None => state.mask,
                Some(guard) => state.mask & state.condition(guard),
            };
            self.env
                .counts
                .instructions
                .record(instruction.class, active);
            self.instructions += 1;
            if self.instructions > self.instruction_limit {
                let rule = Rule::InstructionLimit(self.instruction_limit);
                return Err(self.fail(warp, instruction.line, active, rule));
            }
            match &instruction.op {
                Op::Branch { target } => state.branch(active, *target),
                Op::BranchIndexed { index, targets } => {
                    let index = state.words[*index as usize];
                    let next = state.pc + 1;
                    if let Some(lane) = crate::warp::lanes(active)
                        .find(|&lane| index[lane] as usize >= targets.len())
                    {
                        let what = format!("branch target {} of {}", index[lane], targets.len());
                        let rule = Rule::Undefined(what);
                        return Err(self.fail(warp, instruction.line, 1 << lane, rule));
                    }
                    state.scatter(|lane| match active >> lane & 1 {
                        1 => targets[index[lane] as usize],
                        _ => next,
                    });
                }
                Op::Exit => state.exit(active),
                _ if active == 0 => state.advance(),
                Op::Barrier(barrier) => self.barrier(warp, active, barrier).map_err(|trouble| {
                    self.fail(warp, instruction.line, trouble.lanes, trouble.rule)
                })?,
                op => match execute(op, state, active, &mut self.env) {
                    Ok(Progress::Done) => state.advance(),
                    Ok(Progress::Wait) => state.park(active),
                    Err(trouble) => {
                        return Err(self.fail(warp, instruction.line, trouble.lanes, trouble.rule));
                    }
                },
            }
        }
        Ok(())
    }

    fn fail(&self, warp: usize, line: u32, lanes: u32, rule: Rule) -> Failure {
        let first = (warp * LANES) as u32;
        Failure {
            kernel: self.kernel.name.as_str().into(),
            line,
            block: self.index,
            threads: crate::warp::lanes(lanes)
                .map(|lane| first + lane as u32)
                .collect(),
            rule,
        }
    }

    /// All lanes of a warp that are left wait for others that will not come.
    fn stuck(&self, warp: usize) -> Failure {
        let (pc, lanes) = self.warps[warp].stuck().unwrap_or((0, 0));
        let instruction = &self.kernel.code[pc as usize];
        let missing = self.warps[warp].live & !lanes;
        let what =
            format!("lanes {lanes:#010x} wait here for others, {missing:#010x} are elsewhere");
        let rule = match instruction.op {
            Op::Barrier(_) => Rule::DivergentBarrier(what),
            _ => Rule::MemberMask(what),
        };
        self.fail(warp, instruction.line, lanes, rule)
    }

    /// PTX ISA "bar", "barrier": all threads of the warp must be here.
    fn barrier(&mut self, warp: usize, active: u32, barrier: &Barrier) -> Result<(), Trouble> {
        let all = self.thread_count();
        let state = &mut self.warps[warp];
        if active != state.live {
            state.park(active);
            return Ok(());
        }
        let undefined = |what: String| Trouble {
            rule: Rule::Undefined(what),
            lanes: active,
        };
        let lane = active.trailing_zeros() as usize % LANES;
        let id = state.words[barrier.id as usize][lane] as usize;
        if id >= BARRIERS {
            return Err(undefined(format!("barrier {id}")));
        }
        let counted = barrier
            .threads
            .map(|threads| state.words[threads as usize][lane]);
        if let Some(threads) =
            counted.filter(|threads| threads % LANES as u32 != 0 || *threads == 0)
        {
            return Err(undefined(format!("a barrier of {threads} threads")));
        }
        let expected = counted.unwrap_or(all);
        let meeting = &mut self.meetings[id];
        if meeting.arrived != 0 && meeting.expected != expected {
            let what = format!(
                "barrier {id} of {expected} threads and of {}",
                meeting.expected
            );
            return Err(undefined(what));
        }
        if meeting.arrived >> warp & 1 == 1 {
            return Err(undefined(format!("a second arrival at barrier {id}")));
        }
        let votes = match barrier.kind {
            BarrierKind::Popc { a, .. }
            | BarrierKind::And { a, .. }
            | BarrierKind::Or { a, .. } => (state.condition(a) & active).count_ones(),
            BarrierKind::Sync | BarrierKind::Arrive => 0,
        };
        meeting.expected = expected;
        meeting.arrived |= 1 << warp;
        meeting.votes += votes;
        // Operands count in multiples of the warp size, so a warp that is not full counts as one.
        meeting.threads += if counted.is_some() {
            LANES as u32
        } else {
            active.count_ones()
        };
        if matches!(barrier.kind, BarrierKind::Arrive) {
            state.advance();
        } else {
            meeting.waiting |= 1 << warp;
            state.state = State::AtBarrier;
        }
        if meeting.threads >= expected {
            self.release(id, expected == all);
        }
        Ok(())
    }

    /// Lets everyone at a barrier go on.
    fn release(&mut self, id: usize, whole_block: bool) {
        let meeting = std::mem::take(&mut self.meetings[id]);
        self.env.shared.meet(meeting.arrived);
        if whole_block {
            self.env.view.met();
        }
        self.env.counts.barriers += 1;
        for warp in self
            .warps
            .iter_mut()
            .filter(|warp| meeting.waiting >> warp.id & 1 == 1)
        {
            let (votes, expected) = (meeting.votes, meeting.threads);
            if let Op::Barrier(barrier) = &self.kernel.code[warp.pc as usize].op {
                let all_if = |holds: bool| if holds { ALL } else { 0 };
                let active = warp.mask;
                match barrier.kind {
                    BarrierKind::Popc { d, .. } => warp.set_word(d, active, &[votes; LANES]),
                    BarrierKind::And { d, .. } => {
                        warp.set_predicate(d, active, all_if(votes == expected));
                    }
                    BarrierKind::Or { d, .. } => warp.set_predicate(d, active, all_if(votes > 0)),
                    BarrierKind::Sync | BarrierKind::Arrive => {}
                }
            }
            warp.state = State::Ready;
            warp.advance();
        }
    }

    /// No warp can go on: either all have ended, or some wait forever.
    fn all_done(&self) -> Result<(), Failure> {
        let Some(warp) = self
            .warps
            .iter()
            .find(|warp| warp.state == State::AtBarrier)
        else {
            return Ok(());
        };
        let waiting = |warp: &&Warp| warp.state == State::AtBarrier;
        let threads = self
            .warps
            .iter()
            .filter(waiting)
            .map(|warp| warp.live.count_ones());
        let threads: u32 = threads.sum();
        let what = format!(
            "{threads} of {} threads wait here forever, the others have ended or wait elsewhere",
            self.thread_count()
        );
        let line = self.kernel.code[warp.pc as usize].line;
        Err(self.fail(warp.id, line, warp.live, Rule::DivergentBarrier(what)))
    }
}
