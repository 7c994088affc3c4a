//! A warp: 32 lanes with registers, program counters and what they have under way.
//!
//! Lanes may be at different instructions. The group of lanes with the lowest program counter goes first, and
//! lanes that come to the same instruction become one group again: with the layout that compilers give to
//! structured programs, this reconverges where the branches meet.

use crate::device::shared::Shared;
use crate::fault::{Rule, Space, Trouble};
use crate::op::{ALL, Condition, Kernel, LANES, Long, Place, Reg, Word};

/// What registers hold at first: not a number as floating point, a large one as an integer, so that a result that
/// depends on it is seen to be wrong.
const UNSET: u64 = 0x7fed_dead_7fed_dead;

/// What a warp does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    AtBarrier,
    Done,
}

/// A warp of the running block.
#[derive(Debug)]
pub(crate) struct Warp {
    pub(crate) id: usize,
    pub(crate) words: Vec<Word>,
    pub(crate) longs: Vec<Long>,
    pub(crate) predicates: Vec<u32>,
    /// Lanes that exist and have not exited.
    pub(crate) live: u32,
    /// Lanes that run now, all at `pc`.
    pub(crate) mask: u32,
    pub(crate) pc: u32,
    /// Above this one other lanes wait: whoever gets there stops to look for them.
    pub(crate) limit: u32,
    /// Where the lanes outside of `mask` are.
    elsewhere: [u32; LANES],
    /// Lanes that wait for others of their member mask.
    parked: u32,
    pub(crate) state: State,
    pub(crate) copies: Copies,
    pub(crate) local: Local,
}

impl Warp {
    /// Registers for a kernel, constants filled in.
    pub(crate) fn new(id: usize, kernel: &Kernel) -> Self {
        let mut warp = Self {
            id,
            words: vec![[UNSET as u32; LANES]; kernel.words],
            longs: vec![[UNSET; LANES]; kernel.longs],
            predicates: vec![0; kernel.predicates],
            live: 0,
            mask: 0,
            pc: 0,
            limit: u32::MAX,
            elsewhere: [0; LANES],
            parked: 0,
            state: State::Done,
            copies: Copies::default(),
            local: Local::new(kernel.local.bytes as usize),
        };
        for &(reg, value) in &kernel.word_constants {
            warp.words[reg as usize] = [value; LANES];
        }
        for &(reg, value) in &kernel.long_constants {
            warp.longs[reg as usize] = [value; LANES];
        }
        for &(reg, value) in &kernel.predicate_constants {
            warp.predicates[reg as usize] = if value { ALL } else { 0 };
        }
        warp
    }

    /// Goes to the kernel's start with the lanes `live`.
    pub(crate) fn begin(&mut self, live: u32) {
        (self.live, self.mask, self.pc, self.limit) = (live, live, 0, u32::MAX);
        self.parked = 0;
        self.state = State::Ready;
        self.copies = Copies::default();
        self.local.begin();
    }

    pub(crate) fn condition(&self, condition: Condition) -> u32 {
        let value = self.predicates[condition.predicate as usize];
        if condition.negated { !value } else { value }
    }

    pub(crate) fn set_predicate(&mut self, d: Reg, active: u32, value: u32) {
        let d = &mut self.predicates[d as usize];
        *d = *d & !active | value & active;
    }

    pub(crate) fn set_word(&mut self, d: Reg, active: u32, value: &Word) {
        let d = &mut self.words[d as usize];
        if active == ALL {
            *d = *value;
            return;
        }
        for (lane, (d, value)) in d.iter_mut().zip(value).enumerate() {
            *d = if active >> lane & 1 == 1 { *value } else { *d };
        }
    }

    pub(crate) fn set_long(&mut self, d: Reg, active: u32, value: &Long) {
        let d = &mut self.longs[d as usize];
        if active == ALL {
            *d = *value;
            return;
        }
        for (lane, (d, value)) in d.iter_mut().zip(value).enumerate() {
            *d = if active >> lane & 1 == 1 { *value } else { *d };
        }
    }

    /// A register of either width, with zeros above.
    pub(crate) fn wide(&self, place: Place) -> Long {
        match place {
            Place::Word(reg) | Place::Half(reg) => self.words[reg as usize].map(u64::from),
            Place::Long(reg) => self.longs[reg as usize],
            Place::Nowhere => [0; LANES],
        }
    }

    /// Writes a register of either width; bits above are cut.
    pub(crate) fn set_wide(&mut self, place: Place, active: u32, value: &Long) {
        match place {
            Place::Word(reg) => self.set_word(reg, active, &value.map(|value| value as u32)),
            Place::Half(reg) => {
                self.set_word(reg, active, &value.map(|value| u32::from(value as u16)));
            }
            Place::Long(reg) => self.set_long(reg, active, value),
            Place::Nowhere => {}
        }
    }

    /// Goes on behind an instruction that all running lanes have executed.
    pub(crate) fn advance(&mut self) {
        self.pc += 1;
        if self.pc >= self.limit {
            self.leave(self.mask, self.pc);
            self.regroup();
        }
    }

    /// Sends the running lanes in `taken` to `target` and the others on.
    pub(crate) fn branch(&mut self, taken: u32, target: u32) {
        if taken == self.mask && self.mask == self.live {
            self.pc = target;
            return;
        }
        if taken == 0 {
            return self.advance();
        }
        self.leave(taken, target);
        self.leave(self.mask & !taken, self.pc + 1);
        self.regroup();
    }

    /// Sends each running lane somewhere.
    pub(crate) fn scatter(&mut self, target: impl Fn(usize) -> u32) {
        for lane in lanes(self.mask) {
            self.elsewhere[lane] = target(lane);
        }
        self.regroup();
    }

    /// Ends lanes; the other running ones go on.
    pub(crate) fn exit(&mut self, lanes: u32) {
        self.live &= !lanes;
        self.leave(self.mask & !lanes, self.pc + 1);
        self.regroup();
    }

    /// Lets `lanes` wait here for others; the other running ones go on.
    pub(crate) fn park(&mut self, lanes: u32) {
        self.leave(lanes, self.pc);
        self.leave(self.mask & !lanes, self.pc + 1);
        self.parked |= lanes;
        self.regroup();
    }

    fn leave(&mut self, mask: u32, pc: u32) {
        for lane in lanes(mask) {
            self.elsewhere[lane] = pc;
        }
    }

    /// Chooses the lanes that run next: those with the lowest program counter that are not parked, and whoever
    /// is parked at the same place. None may be left to choose: then `mask` is 0.
    fn regroup(&mut self) {
        self.parked &= self.live;
        self.mask = 0;
        if self.live == 0 {
            self.state = State::Done;
            return;
        }
        let Some(pc) = lanes(self.live & !self.parked)
            .map(|lane| self.elsewhere[lane])
            .min()
        else {
            return;
        };
        self.limit = u32::MAX;
        for lane in lanes(self.live) {
            let at = self.elsewhere[lane];
            if at == pc {
                self.mask |= 1 << lane;
            } else if at > pc {
                self.limit = self.limit.min(at);
            }
        }
        self.pc = pc;
        self.parked &= !self.mask;
    }

    /// Where parked lanes are stuck, and which.
    pub(crate) fn stuck(&self) -> Option<(u32, u32)> {
        let first = lanes(self.parked).next()?;
        let pc = self.elsewhere[first];
        let there = lanes(self.parked).filter(|&lane| self.elsewhere[lane] == pc);
        Some((pc, there.fold(0, |mask, lane| mask | 1 << lane)))
    }
}

/// The lanes in a mask, in ascending order.
pub(crate) fn lanes(mask: u32) -> impl Iterator<Item = usize> {
    let mut left = mask;
    std::iter::from_fn(move || {
        let lane = (left != 0).then(|| left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(lane)
    })
}

/// A warp's `cp.async` copies that no wait has covered (PTX ISA "cp.async", "Data Movement and Conversion
/// Instructions: Asynchronous copy").
#[derive(Debug, Default)]
pub(crate) struct Copies {
    under_way: Vec<Copy>,
    /// Groups that each lane has committed.
    committed: [u32; LANES],
}

#[derive(Debug)]
struct Copy {
    lane: usize,
    /// The lane's group, counted from 0.
    group: u32,
    to: usize,
    bytes: usize,
    data: [u8; 16],
}

impl Copies {
    pub(crate) fn start(&mut self, lane: usize, to: usize, bytes: usize, data: [u8; 16]) {
        self.under_way.push(Copy {
            lane,
            group: self.committed[lane],
            to,
            bytes,
            data,
        });
    }

    pub(crate) fn commit(&mut self, active: u32) {
        for lane in lanes(active) {
            self.committed[lane] += 1;
        }
    }

    /// Ends all but the last `groups` committed groups of the active lanes.
    pub(crate) fn wait(&mut self, warp: usize, active: u32, groups: u32, shared: &mut Shared) {
        let committed = self.committed;
        self.end(warp, active, shared, |copy| {
            u64::from(copy.group) + u64::from(groups) < u64::from(committed[copy.lane])
        });
    }

    /// Ends all copies of the active lanes, committed or not.
    pub(crate) fn wait_all(&mut self, warp: usize, active: u32, shared: &mut Shared) {
        self.end(warp, active, shared, |_| true);
    }

    fn end(&mut self, warp: usize, active: u32, shared: &mut Shared, over: impl Fn(&Copy) -> bool) {
        self.under_way.retain(|copy| {
            let ends = active >> copy.lane & 1 == 1 && over(copy);
            if ends {
                shared.end_copy(warp, copy.to, &copy.data[..copy.bytes]);
            }
            !ends
        });
    }
}

/// The lanes' local memory.
#[derive(Debug)]
pub(crate) struct Local {
    bytes: usize,
    data: Vec<u8>,
    written: Vec<bool>,
}

impl Local {
    fn new(bytes: usize) -> Self {
        Self {
            bytes,
            data: vec![0; bytes * LANES],
            written: vec![false; bytes * LANES],
        }
    }

    fn begin(&mut self) {
        self.written.fill(false);
    }

    fn place(&self, lane: usize, address: u64, bytes: usize) -> Result<usize, Trouble> {
        let end = address.checked_add(bytes as u64);
        if end.is_some_and(|end| end <= self.bytes as u64) {
            return Ok(lane * self.bytes + address as usize);
        }
        let rule = Rule::OutOfBounds {
            space: Space::Local,
            address,
            bytes: bytes as u32,
            near: format!(", the thread has {} bytes", self.bytes),
        };
        Err(Trouble::at_lane(lane, rule))
    }

    pub(crate) fn load(
        &self,
        lane: usize,
        address: u64,
        into: &mut [u8],
        initialised: bool,
    ) -> Result<(), Trouble> {
        let at = self.place(lane, address, into.len())?;
        let unwritten = self.written[at..at + into.len()]
            .iter()
            .position(|&written| !written);
        if let (Some(offset), true) = (unwritten, initialised) {
            let rule = Rule::Uninitialised {
                space: Space::Local,
                address: address + offset as u64,
            };
            return Err(Trouble::at_lane(lane, rule));
        }
        into.copy_from_slice(&self.data[at..at + into.len()]);
        Ok(())
    }

    pub(crate) fn store(&mut self, lane: usize, address: u64, data: &[u8]) -> Result<(), Trouble> {
        let at = self.place(lane, address, data.len())?;
        self.data[at..at + data.len()].copy_from_slice(data);
        self.written[at..at + data.len()].fill(true);
        Ok(())
    }
}
