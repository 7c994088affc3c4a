//! A reader's place in the ring.

use super::ring::{Entry, Found, Ring, Tag};
use super::{Kind, Shared};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a record says besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tags {
    pub(super) kind: Kind,
    /// Bytes in the form for people; what follows them is JSON.
    pub(super) text: usize,
    /// Records before it that are not of frames.
    pub(super) events: u64,
    /// Position of its picture, if it has one.
    pub(super) picture: Option<u64>,
}

impl From<Tags> for Tag {
    fn from(tags: Tags) -> Self {
        let kind = u64::from(tags.kind == Kind::Frame);
        let picture = tags.picture.map_or(0, |position| position + 1);
        [kind, tags.text as u64, tags.events, picture]
    }
}

impl From<Tag> for Tags {
    fn from([kind, text, events, picture]: Tag) -> Self {
        Self {
            kind: if kind == 1 { Kind::Frame } else { Kind::Event },
            text: text as usize,
            events,
            picture: picture.checked_sub(1),
        }
    }
}

/// A record for a reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'a> {
    /// Records before it that this reader did not get.
    pub(super) lost: u64,
    pub(super) text: &'a [u8],
    pub(super) json: &'a [u8],
    /// Position of its picture, if it has one.
    pub(super) picture: Option<u64>,
}

/// Where a reader is, with room for one record.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    /// Of the next record.
    position: u64,
    /// Records before it that this reader wants, whether it got them or not.
    wanted: u64,
    /// It does not want frames.
    changes_only: bool,
    entry: Entry,
}

impl Reader {
    /// A reader of every record from the first on.
    pub(super) fn new(shared: &Arc<Shared>, changes_only: bool) -> Self {
        Self {
            shared: Arc::clone(shared),
            position: 0,
            wanted: 0,
            changes_only,
            entry: shared.records.entry(),
        }
    }

    /// A reader of every record that is not written yet.
    pub(super) fn of_what_follows(shared: &Arc<Shared>) -> Self {
        let head = shared.records.head();
        Self {
            position: head,
            wanted: head,
            ..Self::new(shared, false)
        }
    }

    /// Position of the next record: those before are done with.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether there is nothing more to come.
    pub(super) fn is_at_end(&self) -> bool {
        // In this order: what was published before the end is seen.
        self.shared.ended.load(Ordering::Acquire) && self.position >= self.shared.records.head()
    }

    /// The next record, if there is one. Does not allocate.
    pub(super) fn next(&mut self) -> Option<Received<'_>> {
        let tags = loop {
            match self.shared.records.read(self.position, &mut self.entry) {
                Found::Nothing => return None,
                Found::Lost => self.position = resume(&self.shared.records, self.position),
                Found::Entry => {
                    let tags = Tags::from(self.entry.tag);
                    self.position += 1;
                    if !(self.changes_only && tags.kind == Kind::Frame) {
                        break tags;
                    }
                }
            }
        };
        let before = match self.changes_only {
            true => tags.events,
            false => self.position - 1,
        };
        let lost = before - self.wanted;
        self.wanted = before + 1;
        let (text, json) = self.entry.bytes().split_at(tags.text);
        Some(Received {
            lost,
            text,
            json,
            picture: tags.picture,
        })
    }
}

/// Where a reader goes on that was overtaken: half a ring behind the writer, so that it is not overtaken again at once.
fn resume(ring: &Ring, position: u64) -> u64 {
    (ring.head() - ring.slots() / 2).max(position + 1)
}
