//! The commands: each module holds the arguments of one (`Args`) and carries it out (`execute`).

pub(crate) mod bench;
pub(crate) mod classify;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod inspect;
pub(crate) mod man;
#[cfg(feature = "mqtt")]
pub(crate) mod mqtt;
#[cfg(feature = "page")]
pub(crate) mod page;
pub(crate) mod run;
