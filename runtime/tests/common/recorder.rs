//! A device that computes nothing, but checks what every launch declares to access: that all of it lies in memory
//! that was allocated, and that nothing it writes overlaps anything else. Launches do not allocate.

use mergevit_kernels::cuda::{
    Access, Address, Device, DeviceError, DeviceErrorKind, Graph, Launch, Shared, Target,
};
use mergevit_runtime::aligned::AlignedBytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// What a recorder has been asked for, for the test that gave it away.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Launches outside graphs.
    pub(crate) launches: AtomicUsize,
    /// Graphs recorded.
    pub(crate) records: AtomicUsize,
    /// Launches of the graph recorded last.
    pub(crate) recorded: AtomicUsize,
    /// Graphs replayed.
    pub(crate) replays: AtomicUsize,
    /// Bytes of device memory.
    pub(crate) bytes: AtomicUsize,
}

/// The device.
pub(crate) struct Recorder {
    counts: Arc<Counts>,
    /// First byte and length of every allocation; shared ones have bytes.
    allocations: Vec<(u64, usize)>,
    shared: Vec<(u64, AlignedBytes)>,
    graphs: usize,
    /// How long it says that a launch takes.
    pub(crate) clock: fn(&Launch) -> Duration,
    /// Allocations fail beyond this many bytes.
    limit: usize,
}

impl Recorder {
    /// With memory for `limit` bytes.
    pub(crate) fn new(limit: usize) -> (Self, Arc<Counts>) {
        let counts = Arc::new(Counts::default());
        let recorder = Self {
            counts: counts.clone(),
            allocations: Vec::new(),
            shared: Vec::new(),
            graphs: 0,
            clock: |_| Duration::from_micros(1),
            limit,
        };
        (recorder, counts)
    }

    fn reserve(&mut self, bytes: usize) -> Result<u64, DeviceError> {
        let used = self.counts.bytes.fetch_add(bytes, Relaxed) + bytes;
        if used > self.limit {
            return Err(DeviceError::new(
                DeviceErrorKind::OutOfMemory,
                "recorder",
                format!("allocate {bytes} bytes"),
                "out of memory",
            ));
        }
        // Far apart, so that running over the end of one never ends in another.
        let base = (self.allocations.len() as u64 + 1) << 40;
        self.allocations.push((base, bytes));
        Ok(base)
    }

    fn check(&self, launch: &Launch) {
        let accesses = launch.accesses();
        for (index, &(access, address, len)) in accesses.iter().enumerate() {
            let end = address.0 + len as u64;
            let inside =
                |&(base, size): &(u64, usize)| base <= address.0 && end <= base + size as u64;
            assert!(
                self.allocations.iter().any(inside),
                "{launch:?}: {access:?} of {len} bytes at {address:?}"
            );
            for &(other, start, other_len) in &accesses[..index] {
                let apart = end <= start.0 || start.0 + other_len as u64 <= address.0;
                assert!(
                    apart || (access, other) == (Access::Read, Access::Read),
                    "{launch:?}: {access:?} at {address:?}, {other:?} at {start:?}"
                );
            }
        }
        assert!(launch.grid.iter().all(|&blocks| blocks > 0));
        assert!((1..=1024).contains(&launch.threads));
        assert!(launch.shared_bytes <= self.target().shared_bytes);
    }
}

impl Device for Recorder {
    fn name(&self) -> &str {
        "recorder"
    }

    fn target(&self) -> Target {
        Target::ORIN_NANO
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, DeviceError> {
        self.reserve(bytes).map(Address)
    }

    fn allocate_shared(&mut self, bytes: usize) -> Result<Shared, DeviceError> {
        let base = self.reserve(bytes)?;
        self.shared.push((base, AlignedBytes::zeroed(bytes)));
        Ok(Shared(self.shared.len() - 1))
    }

    fn shared_address(&self, shared: Shared) -> Address {
        Address(self.shared[shared.0].0)
    }

    fn shared_bytes(&mut self, shared: Shared) -> Result<&mut [u8], DeviceError> {
        Ok(&mut self.shared[shared.0].1)
    }

    fn write(&mut self, _: Address, _: &[u8]) -> Result<(), DeviceError> {
        Ok(())
    }

    fn read(&mut self, _: Address, bytes: &mut [u8]) -> Result<(), DeviceError> {
        bytes.fill(0);
        Ok(())
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), DeviceError> {
        self.check(launch);
        self.counts.launches.fetch_add(1, Relaxed);
        Ok(())
    }

    fn record(&mut self, launches: &[Launch]) -> Result<Graph, DeviceError> {
        launches.iter().for_each(|launch| self.check(launch));
        self.counts.records.fetch_add(1, Relaxed);
        self.counts.recorded.store(launches.len(), Relaxed);
        self.graphs += 1;
        Ok(Graph(self.graphs - 1))
    }

    fn replay(&mut self, graph: Graph) -> Result<(), DeviceError> {
        assert!(graph.0 < self.graphs);
        self.counts.replays.fetch_add(1, Relaxed);
        Ok(())
    }

    fn synchronize(&mut self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn time_after(
        &mut self,
        before: &[Launch],
        launches: &[Launch],
        _: u32,
    ) -> Result<Duration, DeviceError> {
        before.iter().for_each(|launch| self.check(launch));
        self.time(launches, 1)
    }

    fn time(&mut self, launches: &[Launch], _: u32) -> Result<Duration, DeviceError> {
        launches.iter().for_each(|launch| self.check(launch));
        Ok(launches.iter().map(self.clock).sum())
    }
}
