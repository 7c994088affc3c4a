//! Loads, stores and asynchronous copies.

use super::environment::Environment;
use crate::counts::{Traffic, bank_conflicts, sectors};
use crate::fault::{Rule, Space, Trouble};
use crate::op::{Access, AccessSpace, Address, AsyncCopy, LANES, Long, Order, Place, window};
use crate::warp::{Warp, lanes};

/// A lane's target after generic addresses are taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Global(u64),
    Shared(u64),
    Local(u64),
    Param(u64),
    Variable(u64),
}

impl Target {
    pub(super) fn of(space: AccessSpace, address: u64) -> Self {
        let offset = address & 0xffff_ffff;
        match space {
            AccessSpace::Shared => Self::Shared(address),
            AccessSpace::Local => Self::Local(address),
            AccessSpace::Param => Self::Param(address),
            AccessSpace::Generic if window::contains(window::SHARED, address) => {
                Self::Shared(offset)
            }
            AccessSpace::Generic if window::contains(window::LOCAL, address) => Self::Local(offset),
            AccessSpace::Generic if window::contains(window::PARAM, address) => Self::Param(offset),
            _ if window::contains(window::VARIABLES, address) => Self::Variable(offset),
            _ => Self::Global(address),
        }
    }

    fn space(self) -> Space {
        match self {
            Self::Global(_) => Space::Global,
            Self::Shared(_) => Space::Shared,
            Self::Local(_) => Space::Local,
            Self::Param(_) => Space::Param,
            Self::Variable(_) => Space::Variable,
        }
    }

    fn address(self) -> u64 {
        match self {
            Self::Global(a)
            | Self::Shared(a)
            | Self::Local(a)
            | Self::Param(a)
            | Self::Variable(a) => a,
        }
    }

    /// The natural alignment that every access needs.
    pub(super) fn aligned(self, bytes: u32) -> Result<(), Rule> {
        if self.address().is_multiple_of(bytes.into()) {
            return Ok(());
        }
        Err(Rule::Misaligned {
            space: self.space(),
            address: self.address(),
            bytes,
        })
    }
}

/// Every lane's address.
pub(super) fn addresses(warp: &Warp, address: &Address) -> Long {
    match address.base {
        None => [address.offset; LANES],
        // Addresses of 32 bits wrap around as such: they are offsets into a space.
        Some(Place::Word(reg)) => {
            warp.words[reg as usize].map(|base| u64::from(base.wrapping_add(address.offset as u32)))
        }
        Some(base) => warp
            .wide(base)
            .map(|base| base.wrapping_add(address.offset)),
    }
}

/// Reads of bytes that live outside of memories.
fn constant(bytes: &[u8], target: Target, into: &mut [u8]) -> Result<(), Rule> {
    let address = target.address();
    let from = usize::try_from(address).unwrap_or(usize::MAX);
    let found = from
        .checked_add(into.len())
        .and_then(|end| bytes.get(from..end));
    let found = found.ok_or_else(|| Rule::OutOfBounds {
        space: target.space(),
        address,
        bytes: into.len() as u32,
        near: format!(", there are {} bytes", bytes.len()),
    })?;
    into.copy_from_slice(found);
    Ok(())
}

/// An element's value, sign-extended if its type is signed; the register cuts it.
fn element(access: &Access, bytes: &[u8]) -> u64 {
    let mut raw = [0; 8];
    raw[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(raw);
    if !access.ty.is_signed() {
        return bits;
    }
    let unused = 64 - 8 * bytes.len() as u32;
    ((bits << unused).cast_signed() >> unused).cast_unsigned()
}

/// What a warp instruction touched, to be counted.
struct Touched {
    space: Option<Space>,
    addresses: Long,
    active: u32,
}

impl Touched {
    fn count(&self, env: &mut Environment<'_>, bytes: u32, write: bool) {
        let lanes_active = u64::from(self.active.count_ones());
        let mut traffic = Traffic {
            accesses: 1,
            bytes: lanes_active * u64::from(bytes),
            sectors: 0,
        };
        let counts = &mut env.counts;
        let both = match self.space {
            Some(Space::Global) => &mut counts.global,
            Some(Space::Shared) => &mut counts.shared,
            Some(Space::Local) => &mut counts.local,
            _ => return,
        };
        let addresses = lanes(self.active).map(|lane| self.addresses[lane]);
        match self.space {
            Some(Space::Shared) => {
                counts.bank_conflicts += bank_conflicts(&self.addresses, self.active, bytes);
            }
            // Local memory is interleaved, so that lanes at one address are neighbours.
            Some(Space::Local) => traffic.sectors = (traffic.bytes).div_ceil(32),
            _ => traffic.sectors = sectors(addresses, bytes),
        }
        *(if write {
            &mut both.write
        } else {
            &mut both.read
        }) += traffic;
    }
}

pub(super) fn load(
    warp: &mut Warp,
    active: u32,
    access: &Access,
    env: &mut Environment<'_>,
) -> Result<(), Trouble> {
    let each = access.ty.bytes() as usize;
    let count = usize::from(access.count);
    let total = each * count;
    let addresses = addresses(warp, &access.address);
    let mut values = [[0u64; LANES]; 4];
    let mut touched = Touched {
        space: None,
        addresses,
        active,
    };
    for lane in lanes(active) {
        let target = Target::of(access.space, addresses[lane]);
        let mut bytes = [0; 32];
        let bytes = &mut bytes[..total];
        let at = |rule| Trouble::at_lane(lane, rule);
        target.aligned(total as u32).map_err(at)?;
        touched.space = Some(target.space());
        touched.addresses[lane] = target.address();
        match target {
            Target::Local(address) => warp.local.load(lane, address, bytes, env.initialised)?,
            _ => fetch(warp.id, target, access, bytes, env).map_err(at)?,
        }
        for (i, chunk) in bytes.chunks_exact(each).enumerate() {
            values[i][lane] = element(access, chunk);
        }
    }
    touched.count(env, total as u32, false);
    for (&place, value) in access.places[..count].iter().zip(&values) {
        warp.set_wide(place, active, value);
    }
    Ok(())
}

fn fetch(
    warp: usize,
    target: Target,
    access: &Access,
    bytes: &mut [u8],
    env: &mut Environment<'_>,
) -> Result<(), Rule> {
    match target {
        Target::Global(address) => {
            let place = env
                .memory
                .place(address, bytes.len() as u32, &mut env.hint)?;
            if access.constant {
                env.memory.check_constant(place, bytes.len(), &env.view)?;
            }
            if access.order == Order::Weak {
                env.touch(warp);
                return env.memory.load(place, bytes, access.used, &env.view);
            }
            env.memory.load_strong(place, bytes, &env.view)?;
            env.view.observe(&env.releases, address);
            if access.order.acquires() {
                env.view.fence(warp);
            }
            Ok(())
        }
        Target::Shared(address) => {
            let at = env.shared.place(address, bytes.len() as u32)?;
            let found = match access.order {
                Order::Weak => env.shared.load(warp, at, bytes.len(), access.used)?,
                _ => env.shared.load_strong(warp, at, bytes.len())?,
            };
            bytes.copy_from_slice(found);
            Ok(())
        }
        Target::Param(_) => constant(env.params, target, bytes),
        Target::Variable(_) | Target::Local(_) => constant(env.variables, target, bytes),
    }
}

/// A GPU ignores a prefetch of what is not there; nobody means one, so it is a fault here.
pub(super) fn prefetch(
    warp: &Warp,
    active: u32,
    address: &Address,
    env: &mut Environment<'_>,
) -> Result<(), Trouble> {
    let addresses = addresses(warp, address);
    for lane in lanes(active) {
        let found = env.memory.place(addresses[lane], 1, &mut env.hint);
        found.map_err(|rule| Trouble::at_lane(lane, rule))?;
    }
    Ok(())
}

pub(super) fn store(
    warp: &mut Warp,
    active: u32,
    access: &Access,
    env: &mut Environment<'_>,
) -> Result<(), Trouble> {
    let each = access.ty.bytes() as usize;
    let count = usize::from(access.count);
    let total = each * count;
    let addresses = addresses(warp, &access.address);
    let mut values = [[0u64; LANES]; 4];
    for (value, &place) in values.iter_mut().zip(&access.places[..count]) {
        *value = warp.wide(place);
    }
    let mut touched = Touched {
        space: None,
        addresses,
        active,
    };
    let mut data = [[0u8; 32]; LANES];
    for lane in lanes(active) {
        for (i, chunk) in data[lane][..total].chunks_exact_mut(each).enumerate() {
            chunk.copy_from_slice(&values[i][lane].to_le_bytes()[..each]);
        }
    }
    one_value_a_byte(access.space, &addresses, active, &data, total)?;
    for lane in lanes(active) {
        let target = Target::of(access.space, addresses[lane]);
        let bytes = &data[lane][..total];
        let at = |rule| Trouble::at_lane(lane, rule);
        target.aligned(total as u32).map_err(at)?;
        touched.space = Some(target.space());
        touched.addresses[lane] = target.address();
        match target {
            Target::Local(address) => warp.local.store(lane, address, bytes)?,
            _ => put(warp.id, target, access, bytes, env).map_err(at)?,
        }
    }
    touched.count(env, total as u32, true);
    Ok(())
}

/// Lanes that write the same byte must write the same value. Addresses that ascend by the access's size or more,
/// nearly all, cannot meet.
fn one_value_a_byte(
    space: AccessSpace,
    addresses: &Long,
    active: u32,
    data: &[[u8; 32]; LANES],
    total: usize,
) -> Result<(), Trouble> {
    let mut previous: Option<u64> = None;
    let apart = lanes(active).all(|lane| {
        let after =
            previous.is_none_or(|last| addresses[lane] >= last.saturating_add(total as u64));
        previous = Some(addresses[lane]);
        after
    });
    if apart || space == AccessSpace::Local {
        return Ok(());
    }
    for lane in lanes(active) {
        for other in lanes(active & ((1 << lane) - 1)) {
            let same = addresses[lane] == addresses[other];
            if same && data[lane][..total] != data[other][..total] {
                let target = Target::of(space, addresses[lane]);
                if matches!(target, Target::Local(_)) {
                    continue;
                }
                return Err(Trouble {
                    rule: Rule::ConflictingLanes {
                        space: target.space(),
                        address: target.address(),
                    },
                    lanes: 1 << lane | 1 << other,
                });
            }
        }
    }
    Ok(())
}

fn put(
    warp: usize,
    target: Target,
    access: &Access,
    bytes: &[u8],
    env: &mut Environment<'_>,
) -> Result<(), Rule> {
    match target {
        Target::Global(address) => {
            let place = env
                .memory
                .place(address, bytes.len() as u32, &mut env.hint)?;
            if access.order == Order::Weak {
                env.touch(warp);
                env.view.stored();
                return env.memory.store(place, bytes, &env.view);
            }
            if access.order.releases() {
                env.view.fence(warp);
                env.view.release(&mut env.releases, address, warp);
            }
            env.memory.store_strong(place, bytes);
            Ok(())
        }
        Target::Shared(address) => {
            let at = env.shared.place(address, bytes.len() as u32)?;
            match access.order {
                Order::Weak => env.shared.store(warp, at, bytes),
                _ => env.shared.store_strong(warp, at, bytes),
            }
        }
        _ => Err(Rule::ReadOnly {
            space: target.space(),
            address: target.address(),
        }),
    }
}

/// PTX ISA "cp.async": bytes beyond the source size become zeros, and are not read.
pub(super) fn async_copy(
    warp: &mut Warp,
    active: u32,
    copy: &AsyncCopy,
    env: &mut Environment<'_>,
) -> Result<(), Trouble> {
    let to = addresses(warp, &copy.to);
    let from = addresses(warp, &copy.from);
    let sizes = copy.source_bytes.map(|reg| warp.words[reg as usize]);
    let (mut read, mut read_bytes) = (0, 0);
    for lane in lanes(active) {
        let at = |rule| Trouble::at_lane(lane, rule);
        let size = sizes.map_or(copy.bytes, |sizes| sizes[lane]);
        if size > copy.bytes {
            let what = format!("cp.async of {} bytes from {size}", copy.bytes);
            return Err(at(Rule::Undefined(what)));
        }
        let (source, target) = (Target::Global(from[lane]), Target::Shared(to[lane]));
        source.aligned(copy.bytes).map_err(at)?;
        target.aligned(copy.bytes).map_err(at)?;
        let mut data = [0; 16];
        if size > 0 {
            let place = env
                .memory
                .place(from[lane], size, &mut env.hint)
                .map_err(at)?;
            let into = &mut data[..size as usize];
            env.touch(warp.id);
            env.memory
                .load(place, into, u64::MAX, &env.view)
                .map_err(at)?;
            read |= 1 << lane;
            read_bytes += u64::from(size);
        }
        let place = env.shared.place(to[lane], copy.bytes).map_err(at)?;
        env.shared
            .begin_copy(warp.id, place, copy.bytes as usize)
            .map_err(at)?;
        warp.copies.start(lane, place, copy.bytes as usize, data);
    }
    env.counts.global.read += Traffic {
        accesses: 1,
        bytes: read_bytes,
        sectors: sectors(lanes(read).map(|lane| from[lane]), copy.bytes),
    };
    env.counts.shared.write += Traffic {
        accesses: 1,
        bytes: u64::from(active.count_ones()) * u64::from(copy.bytes),
        sectors: 0,
    };
    env.counts.bank_conflicts += bank_conflicts(&to, active, copy.bytes);
    Ok(())
}
