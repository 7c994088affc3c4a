//! From answers to states: what a source shows, decided over several frames.
//!
//! Each frame gives a [`Vote`] by [`Rules`]. A [`Decider`] changes its state once enough of the last frames agree on another,
//! and otherwise keeps it. Nothing here allocates after [`Decider::new`], and nothing knows of clocks or outputs.

mod consensus;
mod rules;

pub(crate) use consensus::Consensus;
pub(crate) use rules::{Rules, Sight, Vote};

use std::time::{Duration, Instant};

/// The frame that shows a state best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Best {
    /// Its number.
    pub(crate) frame: u64,
    /// Probability of the state's class, 0 to 1.
    pub(crate) confidence: f32,
}

/// A state, and when it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Account {
    pub(crate) state: Vote,
    /// When the first of the frames was captured that agreed on it.
    pub(crate) since: Instant,
    /// Up to the last frame that was seen, or to where the next state begins.
    pub(crate) duration: Duration,
    /// Of a class alone.
    pub(crate) best: Option<Best>,
}

/// Another state begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) now: Account,
    /// What ended; `None` at the first.
    pub(crate) before: Option<Account>,
}

/// What one frame gave.
#[derive(Clone, Copy, Debug)]
struct Cast {
    vote: Vote,
    captured: Instant,
    best: Best,
}

/// Decides what one source, or one region of it, shows.
#[derive(Debug)]
pub(crate) struct Decider {
    rules: Rules,
    /// The last frames' votes, the oldest at `next` once all are there.
    casts: Vec<Cast>,
    next: usize,
    account: Option<Account>,
}

impl Decider {
    /// Undecided. Allocates.
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            casts: Vec::with_capacity(rules.consensus.of),
            next: 0,
            account: None,
            rules,
        }
    }

    /// What is decided; [`Vote::Nothing`] at first.
    pub(crate) fn state(&self) -> Vote {
        self.account.map_or(Vote::Nothing, |account| account.state)
    }

    /// Takes a frame's answer. Returns the change that it makes, if it makes one.
    pub(crate) fn see(&mut self, sight: &Sight) -> Option<Change> {
        let cast = Cast {
            vote: self.rules.vote(sight),
            captured: sight.captured,
            best: Best {
                frame: sight.frame,
                confidence: sight.probability,
            },
        };
        self.keep(cast);
        if let Some(account) = &mut self.account {
            account.duration = cast.captured.saturating_duration_since(account.since);
            if account.state == cast.vote {
                account.best = better(account.best, cast);
                return None;
            }
        } else if cast.vote == Vote::Nothing {
            return None;
        }
        let agreeing = || self.in_order().filter(|other| other.vote == cast.vote);
        if agreeing().count() < self.rules.consensus.needed {
            return None;
        }
        let since = agreeing().next()?.captured;
        let now = Account {
            state: cast.vote,
            since,
            duration: cast.captured.saturating_duration_since(since),
            best: agreeing().fold(None, |best, cast| better(best, *cast)),
        };
        let before = self.account.replace(now).map(|account| Account {
            duration: since.saturating_duration_since(account.since),
            ..account
        });
        Some(Change { now, before })
    }

    /// Ends what is decided. Returns the change, unless nothing is.
    pub(crate) fn end(&mut self) -> Option<Change> {
        self.casts.clear();
        self.next = 0;
        let before = self.account.take()?;
        (before.state != Vote::Nothing).then_some(Change {
            now: Account {
                state: Vote::Nothing,
                since: before.since + before.duration,
                duration: Duration::ZERO,
                best: None,
            },
            before: Some(before),
        })
    }

    /// The last votes, the oldest first.
    fn in_order(&self) -> impl Iterator<Item = &Cast> {
        let (newer, older) = self.casts.split_at(self.next);
        older.iter().chain(newer)
    }

    fn keep(&mut self, cast: Cast) {
        if self.casts.len() < self.rules.consensus.of {
            self.casts.push(cast);
            return;
        }
        self.casts[self.next] = cast;
        self.next = (self.next + 1) % self.casts.len();
    }
}

/// The better of a state's frames, the earlier of equals.
fn better(best: Option<Best>, cast: Cast) -> Option<Best> {
    match (cast.vote, best) {
        (Vote::Class(_), Some(best)) if best.confidence >= cast.best.confidence => Some(best),
        (Vote::Class(_), _) => Some(cast.best),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
