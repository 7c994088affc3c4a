//! How a device is opened.

/// What a thread does while it waits for the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// It asks again and again: the answer is seen at once, at the price of a core that is busy meanwhile.
    #[default]
    Spin,
    /// It sleeps until the driver wakes it: less power, but some tens of microseconds more for every frame.
    Block,
}

/// How a device is opened; by default all of it, with a thread that spins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// What a thread does while it waits.
    pub wait: Wait,
    /// Use only so many streaming multiprocessors: a green context, which drivers since CUDA 12.4 have. What remains is
    /// left to other programs; and a larger device then has the shape of a smaller one. The device may give a few
    /// more, because it only splits into groups.
    pub multiprocessors: Option<u32>,
}
