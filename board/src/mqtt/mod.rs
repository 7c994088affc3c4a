//! What a run sees, for Home Assistant and whoever else listens to an MQTT broker: another process, which reads the
//! run's socket. Neither a slow broker nor one that is away slows the run.
//!
//! | what | where |
//! |---|---|
//! | where the broker is | `address` |
//! | what topics say, and what Home Assistant is told of them | `topics`, `discovery` |
//! | what is to be said, whether the broker is there or not | `news` |
//! | the run on one side, the broker on the other | `relay` |

mod address;
mod discovery;
mod news;
mod relay;
mod topics;

pub(crate) use address::Broker;
pub(crate) use relay::{Credentials, Settings, serve};
pub(crate) use topics::parse_topic;
