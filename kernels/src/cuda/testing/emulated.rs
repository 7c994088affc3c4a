//! The emulator as a [`Device`]: whatever runs on a GPU runs on it.

use super::isolation::{declared, isolated, take_back};
use super::mutant;
use crate::cuda::{
    Address, Device, DeviceError, DeviceErrorKind, Graph, Launch, MODULES, Module, Shared, Target,
    Work,
};
use mergevit_emulator::{self as emulator, Counts, Memory, Options};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The modules, each parsed once per process.
static PARSED: [OnceLock<emulator::Module>; MODULES.len()] =
    [const { OnceLock::new() }; MODULES.len()];

fn parsed(module: Module) -> Result<&'static emulator::Module, String> {
    let slot = &PARSED[module as usize];
    if let Some(parsed) = slot.get() {
        return Ok(parsed);
    }
    let parsed = emulator::Module::parse(module.ptx())
        .map_err(|error| format!("{}.compute_80.ptx: {error}", module.name()))?;
    Ok(slot.get_or_init(|| parsed))
}

/// What a kernel has done in all its launches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record {
    /// Launches.
    pub launches: u64,
    /// What the launches said they would cost.
    pub work: Work,
    /// What they did.
    pub counts: Counts,
}

/// What every kernel has done, by name; shared with its device.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<BTreeMap<&'static str, Record>>>);

impl Ledger {
    fn add(&self, launch: &Launch, counts: Counts) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let record = records.entry(launch.kernel.name()).or_default();
        record.launches += 1;
        record.work.tensor_macs += launch.work.tensor_macs;
        record.work.instructions += launch.work.instructions;
        record.work.shared_bytes += launch.work.shared_bytes;
        record.counts += counts;
    }

    /// All records so far.
    pub fn records(&self) -> BTreeMap<&'static str, Record> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Shared memory starts at a multiple of this, on both sides.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Shared memory: where the device sees it, and what the host sees of it.
struct Mapped {
    address: u64,
    len: usize,
    lines: Vec<Line>,
}

impl Mapped {
    fn bytes(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

/// A device that emulates the shipped PTX.
pub struct Emulated {
    memory: Memory,
    options: Options,
    target: Target,
    integrated: bool,
    graphs: Vec<Vec<Launch>>,
    shared: Vec<Mapped>,
    ledger: Ledger,
}

impl Emulated {
    /// A device that offers what `target` offers.
    pub fn new(target: Target, options: Options) -> Self {
        Self {
            memory: Memory::new(),
            options,
            target,
            integrated: true,
            graphs: Vec::new(),
            shared: Vec::new(),
            ledger: Ledger::default(),
        }
    }

    /// With memory of its own: what the host writes is copied on.
    #[must_use]
    pub fn discrete(mut self) -> Self {
        self.integrated = false;
        self
    }

    /// Counts of its kernels, which keep growing.
    pub fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    fn error(&self, action: impl Into<String>, reason: &dyn ToString) -> DeviceError {
        DeviceError::new(
            DeviceErrorKind::Other,
            self.name(),
            action,
            reason.to_string(),
        )
    }

    /// A launch sees the memory that it declares to access, and no other.
    fn run(&mut self, launch: &Launch) -> Result<(), String> {
        if launch.shared_bytes > self.target.shared_bytes {
            return Err(format!(
                "{} bytes of shared memory, at most {} are available",
                launch.shared_bytes, self.target.shared_bytes
            ));
        }
        let request = emulator::Launch {
            kernel: launch.kernel.name(),
            grid: launch.grid,
            block: [launch.threads, 1, 1],
            shared_bytes: launch.shared_bytes,
            params: launch.params(),
        };
        let ranges = declared(launch)?;
        let mut memory = isolated(&ranges, &self.memory).map_err(|error| error.to_string())?;
        let counts = match mutant::replaced(launch.kernel.module()) {
            Some(module) => emulator::run(&module, &request, &mut memory, &self.options),
            None => {
                let module = parsed(launch.kernel.module())?;
                emulator::run(module, &request, &mut memory, &self.options)
            }
        };
        let counts = counts.map_err(|fault| fault.to_string())?;
        take_back(&ranges, &memory, &mut self.memory)?;
        let (said, done) = (launch.work.tensor_macs, counts.matrix.multiply_accumulates);
        if said != done {
            return Err(format!(
                "{done} multiply-accumulates, the launch says {said}"
            ));
        }
        self.ledger.add(launch, counts);
        Ok(())
    }

    /// Runs launches; copies shared memory to the device before them, and back after them.
    fn run_all(&mut self, launches: &[Launch]) -> Result<(), DeviceError> {
        for shared in &mut self.shared {
            let address = shared.address;
            if let Err(error) = self.memory.write(address, shared.bytes()) {
                return Err(self.error("map", &error));
            }
        }
        for launch in launches {
            self.run(launch).map_err(|reason| {
                let action = format!("launch {:?}", launch.kernel);
                DeviceError::new(DeviceErrorKind::Launch, self.name(), action, reason)
            })?;
        }
        for shared in &mut self.shared {
            match self.memory.read(shared.address, shared.len) {
                Ok(read) => shared.bytes().copy_from_slice(&read),
                Err(error) => return Err(self.error("map", &error)),
            }
        }
        Ok(())
    }
}

impl Device for Emulated {
    fn name(&self) -> &str {
        "emulator"
    }

    fn target(&self) -> Target {
        self.target
    }

    fn integrated(&self) -> bool {
        self.integrated
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, DeviceError> {
        Ok(Address(self.memory.upload(&vec![0; bytes])))
    }

    fn allocate_shared(&mut self, bytes: usize) -> Result<Shared, DeviceError> {
        let address = self.allocate(bytes)?.0;
        self.shared.push(Mapped {
            address,
            len: bytes,
            lines: vec![Line([0; 64]); bytes.div_ceil(64)],
        });
        Ok(Shared(self.shared.len() - 1))
    }

    fn shared_address(&self, shared: Shared) -> Address {
        Address(self.shared[shared.0].address)
    }

    fn shared_bytes(&mut self, shared: Shared) -> Result<&mut [u8], DeviceError> {
        Ok(self.shared[shared.0].bytes())
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), DeviceError> {
        let written = self.memory.write(to.0, bytes);
        written.map_err(|error| self.error(format!("write {} bytes", bytes.len()), &error))
    }

    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let read = self.memory.read(from.0, bytes.len());
        let read =
            read.map_err(|error| self.error(format!("read {} bytes", bytes.len()), &error))?;
        bytes.copy_from_slice(&read);
        Ok(())
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), DeviceError> {
        self.run_all(std::slice::from_ref(launch))
    }

    fn record(&mut self, launches: &[Launch]) -> Result<Graph, DeviceError> {
        self.graphs.push(launches.to_vec());
        Ok(Graph(self.graphs.len() - 1))
    }

    fn replay(&mut self, graph: Graph) -> Result<(), DeviceError> {
        let launches = self.graphs[graph.0].clone();
        self.run_all(&launches)
    }

    fn synchronize(&mut self) -> Result<(), DeviceError> {
        Ok(())
    }
}
