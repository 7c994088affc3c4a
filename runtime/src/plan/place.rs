//! Where buffers lie in the arena: two that are alive at the same time never share a byte.

use super::{MAX_BUFFERS, MAX_STEPS};
use crate::aligned::ALIGN;
use std::cmp::Reverse;

/// Where a buffer would best lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Anywhere.
    None,
    /// At the arena's start.
    Start,
    /// At the arena's end.
    End,
}

/// A buffer before and after it has a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffer {
    /// Bytes.
    pub(super) len: usize,
    /// Where it would best lie.
    pub(super) wish: Wish,
    /// First step that touches it.
    pub(super) first: usize,
    /// Last step that touches it.
    pub(super) last: usize,
    /// Where it lies.
    pub(super) offset: usize,
}

impl Buffer {
    fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Bytes it takes, to where the next one may start.
    fn size(&self) -> usize {
        self.len.next_multiple_of(ALIGN)
    }
}

type Buffers = heapless::Vec<Buffer, MAX_BUFFERS>;

/// The most bytes alive at one step: no arena is smaller.
fn lower_bound(buffers: &Buffers) -> usize {
    // Bytes that come alive at a step, and that die before it.
    let mut changes = [(0, 0); MAX_STEPS + 2];
    for buffer in buffers {
        changes[buffer.first].0 += buffer.size();
        changes[buffer.last + 1].1 += buffer.size();
    }
    let mut alive = 0;
    changes
        .iter()
        .map(|(born, dead)| {
            alive = alive + born - dead;
            alive
        })
        .max()
        .unwrap_or(0)
}

/// Gives every buffer its offset and returns the arena's size.
///
/// The largest first (greedy by size, Pisarchyk and Lee, arXiv 2001.03288), each at the lowest offset that is
/// free throughout its lifetime, or at the highest for [`Wish::End`]. Buffers with a wish come before all
/// others, unless that takes more space, as it does in models of unusual proportions.
pub(super) fn place(buffers: &mut Buffers) -> usize {
    let least = lower_bound(buffers);
    let wishes_first = place_in_order(buffers, least, |buffer| buffer.wish != Wish::None);
    if wishes_first == least {
        return least;
    }
    let mut other = buffers.clone();
    let largest_first = place_in_order(&mut other, least, |_| false);
    if largest_first < wishes_first {
        *buffers = other;
    }
    largest_first.min(wishes_first)
}

/// Places those that come `first`, then the others. The arena ends at `least` for [`Wish::End`]; a wish that
/// cannot be had counts for nothing.
fn place_in_order(buffers: &mut Buffers, least: usize, first: impl Fn(&Buffer) -> bool) -> usize {
    let mut order: heapless::Vec<u16, MAX_BUFFERS> = (0..buffers.len() as u16).collect();
    order.sort_unstable_by_key(|&index| {
        let buffer = &buffers[usize::from(index)];
        let lifetime = buffer.last - buffer.first;
        let key = (buffer.len, lifetime, Reverse(index));
        Reverse((first(buffer), key))
    });
    // Buffers with a place, by ascending offset.
    let mut placed: heapless::Vec<u16, MAX_BUFFERS> = heapless::Vec::new();
    let mut size = 0;
    for index in order {
        let buffer = buffers[usize::from(index)];
        let others = placed.iter().map(|&i| &buffers[usize::from(i)]);
        let high = match buffer.wish {
            Wish::End => last_fit(&buffer, least, &others),
            Wish::None | Wish::Start => None,
        };
        let offset = high.unwrap_or_else(|| first_fit(&buffer, others));
        buffers[usize::from(index)].offset = offset;
        size = size.max(offset + buffer.size());
        let position = placed.partition_point(|&i| buffers[usize::from(i)].offset <= offset);
        placed
            .insert(position, index)
            .expect("as many places as buffers");
    }
    size
}

/// The lowest offset where `buffer` shares no byte with any of `others`, which come by ascending offset, that
/// is alive with it.
fn first_fit<'a>(buffer: &Buffer, others: impl Iterator<Item = &'a Buffer>) -> usize {
    let mut offset = 0;
    for other in others.filter(|other| other.meets(buffer)) {
        if offset + buffer.len <= other.offset {
            break;
        }
        offset = offset.max(other.offset + other.size());
    }
    offset
}

/// The highest such offset where it ends at or below `end`, if there is any.
fn last_fit<'a>(
    buffer: &Buffer,
    mut end: usize,
    others: &(impl Iterator<Item = &'a Buffer> + Clone),
) -> Option<usize> {
    loop {
        let start = end.checked_sub(buffer.size())?;
        let mut clashing = others
            .clone()
            .filter(|other| other.meets(buffer))
            .filter(|other| other.offset < end && start < other.offset + other.size());
        match clashing.next() {
            Some(other) => end = other.offset,
            None => return Some(start),
        }
    }
}
