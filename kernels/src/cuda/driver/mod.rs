//! NVIDIA's driver as a [`Device`]. Its library is loaded when the program runs; nothing links to it.
//!
//! [`open`] loads all modules and looks up their kernels; the caller allocates memory and records graphs when it
//! loads a model. Launching, replaying and waiting then allocate nothing.

mod context;
mod error;
mod function;
mod handles;
mod info;
mod kind;
mod options;
mod version;

pub use error::OpenError;
pub use function::KernelResources;
pub use info::{DeviceInfo, DriverInfo, probe};
pub use options::{OpenOptions, Wait};
pub use version::{Capability, Code, Version};

use super::device::median;
use super::{
    Address, Device, DeviceError, DeviceErrorKind, Graph, Kernel, Launch, MODULES, Module, Shared,
    Target, nothing,
};
use context::Context;
use cudarc::driver::sys;
use cudarc::driver::{DriverError, result};
use error::{During, reason};
use function::Function;
use handles::{DeviceMemory, Event, Executable, HostMemory, LoadedModule, Stream};
use std::ffi::c_void;
use std::time::Duration;

/// An open device. Fields are dropped in this order.
pub struct Driver {
    graphs: Vec<Executable>,
    kernels: Vec<Function>,
    /// What the kernels belong to.
    _modules: Vec<LoadedModule>,
    shared: Vec<HostMemory>,
    memory: Vec<DeviceMemory>,
    stream: Stream,
    context: Context,
    info: DeviceInfo,
    /// Whether the stream may still be at work.
    busy: bool,
}

// SAFETY: the driver's handles may be used by any thread whose current context is theirs, which every method
// makes sure of first; the one pointer to memory is used through `&mut self` alone.
unsafe impl Send for Driver {}

/// Opens a device: loads all kernels.
///
/// # Errors
/// [`OpenError`]: no driver, no such device, an old driver or device, or a module that the driver refuses.
pub fn open(ordinal: usize, options: &OpenOptions) -> Result<Driver, OpenError> {
    let driver = probe()?;
    let mut info = driver.usable(ordinal)?.clone();
    if options.multiprocessors.is_some() && driver.version < Version::PARTS {
        return Err(OpenError::NoParts {
            device: info.name,
            found: driver.version,
        });
    }
    let context = Context::new(ordinal, options).during(&info.name, make_context)?;
    context.bind().during(&info.name, make_context)?;
    info.multiprocessors = context.multiprocessors().unwrap_or(info.multiprocessors);
    let stream = Stream::new().during(&info.name, || "make a stream".into())?;
    let mut modules = Vec::with_capacity(MODULES.len());
    let mut kernels = Vec::new();
    for &module in MODULES {
        let loaded = load(&info, module)?;
        for kernel in Kernel::all().filter(|kernel| kernel.module() == module) {
            let function = Function::find(&info, &loaded, kernel);
            kernels.push(function.during(&info.name, || format!("prepare kernel {kernel:?}"))?);
        }
        modules.push(loaded);
    }
    let mut driver = Driver {
        graphs: Vec::new(),
        kernels,
        _modules: modules,
        shared: Vec::new(),
        memory: Vec::new(),
        stream,
        context,
        info,
        busy: false,
    };
    driver.warm_up()?;
    Ok(driver)
}

fn make_context() -> String {
    "make a context".into()
}

/// Loads a module: machine code where there is some for the device, else PTX. A driver that refuses machine code,
/// being older or newer than its compiler allows for, still compiles the PTX to the same bits.
fn load(info: &DeviceInfo, module: Module) -> Result<LoadedModule, OpenError> {
    let refused = |code, (error, message): (DriverError, String)| OpenError::Module {
        device: info.name.clone(),
        code,
        module,
        reason: match message.as_str() {
            "" => reason(error),
            message => format!("{}; {message}", reason(error)),
        },
    };
    if info.code() == Code::Machine {
        match LoadedModule::load(module.cubin()) {
            Ok(module) => return Ok(module),
            Err(error) => log::warn!("{}", refused(Code::Machine, error)),
        }
    }
    let ptx = [module.ptx().as_bytes(), b"\0"].concat();
    LoadedModule::load(&ptx).map_err(|error| refused(Code::Ptx, error))
}

impl Driver {
    /// The device.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// What each kernel takes, as the driver has loaded it.
    pub fn resources(&self) -> impl Iterator<Item = KernelResources> {
        self.kernels.iter().map(|function| function.resources)
    }

    /// Names what went wrong.
    fn check<T>(
        &self,
        result: Result<T, DriverError>,
        action: impl FnOnce() -> String,
    ) -> Result<T, DeviceError> {
        result.during(&self.info.name, action)
    }

    /// Replays a graph, so that the driver's functions allocate now what they need when first called. It holds a kernel,
    /// because no driver promises to take a graph of none.
    fn warm_up(&mut self) -> Result<(), DeviceError> {
        let graph = self.executable([nothing()].iter())?;
        self.check(graph.start(&self.stream), || "replay a graph".into())?;
        self.synchronize()
    }

    fn bind(&self) -> Result<(), DeviceError> {
        self.check(self.context.bind(), || "select the device".into())
    }

    /// Like [`check`](Self::check), but also says how much memory is free.
    fn check_memory<T>(
        &self,
        result: Result<T, DriverError>,
        what: &str,
        bytes: usize,
    ) -> Result<T, DeviceError> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let mut reason = reason(error);
        if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY
            && let Ok((free, total)) = result::mem_get_info()
        {
            reason += &format!(", {free} bytes free of {total}");
        }
        let action = format!("allocate {bytes} bytes of {what}");
        Err(DeviceError::new(
            kind::kind(error),
            &self.info.name,
            action,
            reason,
        ))
    }

    fn function(&self, kernel: Kernel) -> Option<&Function> {
        let mut known = self.kernels.iter();
        known.find(|function| function.resources.kernel == kernel)
    }

    /// Puts a launch on the stream. The context is current.
    fn enqueue(&self, launch: &Launch) -> Result<(), DeviceError> {
        let action = || format!("launch {:?} on {:?} blocks", launch.kernel, launch.grid);
        let Some(function) = self.function(launch.kernel) else {
            return Err(DeviceError::new(
                DeviceErrorKind::Launch,
                &self.info.name,
                action(),
                "no such kernel",
            ));
        };
        let mut arguments = [launch.params().as_ptr().cast::<c_void>().cast_mut()];
        let [x, y, z] = launch.grid;
        // SAFETY: the function belongs to a module that we loaded and takes one parameter, of which the launch
        // holds all bytes; the driver copies them before it returns. The kernel reads and writes at addresses
        // that the caller got from this device.
        let result = unsafe {
            result::launch_kernel(
                function.raw,
                (x, y, z),
                (launch.threads, 1, 1),
                launch.shared_bytes,
                self.stream.0,
                &mut arguments,
            )
        };
        self.check(result, action)
    }

    /// Time between two events that have happened.
    fn between(
        &self,
        start: &Event,
        end: &Event,
        action: impl FnOnce() -> String,
    ) -> Result<Duration, DeviceError> {
        let milliseconds = self.check(end.since(start), action)?;
        Ok(Duration::from_secs_f32(milliseconds.max(0.0) / 1e3))
    }

    /// Records launches.
    fn executable<'a>(
        &mut self,
        mut launches: impl Iterator<Item = &'a Launch>,
    ) -> Result<Executable, DeviceError> {
        let action = || "record a graph".to_owned();
        self.bind()?;
        self.check(self.stream.begin(), action)?;
        let enqueued = launches.try_for_each(|launch| self.enqueue(launch));
        // Recording must end even if a launch failed.
        let executable = self.stream.end();
        enqueued?;
        self.check(executable, action)
    }
}

impl Device for Driver {
    fn name(&self) -> &str {
        &self.info.name
    }

    fn target(&self) -> Target {
        self.info.target()
    }

    fn integrated(&self) -> bool {
        self.info.integrated
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, DeviceError> {
        self.bind()?;
        let memory = DeviceMemory::zeroed(bytes.max(1), &self.stream);
        let memory = self.check_memory(memory, "device memory", bytes)?;
        let address = Address(memory.0);
        self.memory.push(memory);
        Ok(address)
    }

    fn allocate_shared(&mut self, bytes: usize) -> Result<Shared, DeviceError> {
        self.bind()?;
        let memory = HostMemory::zeroed(bytes.max(1));
        let memory = self.check_memory(memory, "page-locked memory", bytes)?;
        self.shared.push(memory);
        Ok(Shared(self.shared.len() - 1))
    }

    fn shared_address(&self, shared: Shared) -> Address {
        Address(self.shared[shared.0].device)
    }

    fn shared_bytes(&mut self, shared: Shared) -> Result<&mut [u8], DeviceError> {
        if self.busy {
            self.synchronize()?;
        }
        Ok(self.shared[shared.0].bytes())
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: `to` is the caller's claim to as much device memory; the stream is waited for before
        // `bytes` can change.
        let result = unsafe { result::memcpy_htod_async(to.0, bytes, self.stream.0) };
        self.check(result, || format!("write {} bytes", bytes.len()))?;
        self.synchronize()
    }

    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: `from` is the caller's claim to as much device memory; the stream is waited for before
        // `bytes` can be looked at.
        let result = unsafe { result::memcpy_dtoh_async(bytes, from.0, self.stream.0) };
        self.check(result, || format!("read {} bytes", bytes.len()))?;
        self.synchronize()
    }

    fn send(&mut self, from: Shared, bytes: usize, to: Address) -> Result<(), DeviceError> {
        self.bind()?;
        self.busy = true;
        let from = &self.shared[from.0].bytes()[..bytes];
        // SAFETY: `to` is the caller's claim to as much device memory; `from` stays where it is until `self`
        // is dropped, and nobody changes it before the stream has been waited for.
        let result = unsafe { result::memcpy_htod_async(to.0, from, self.stream.0) };
        self.check(result, || format!("send {bytes} bytes"))
    }

    fn copy(&mut self, from: Address, bytes: usize, to: Address) -> Result<(), DeviceError> {
        self.bind()?;
        self.busy = true;
        // SAFETY: `from` and `to` are the caller's claim to as much device memory each, which stays allocated until
        // `self` is dropped.
        let result = unsafe { result::memcpy_dtod_async(to.0, from.0, bytes, self.stream.0) };
        self.check(result, || format!("copy {bytes} bytes"))
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), DeviceError> {
        self.bind()?;
        self.busy = true;
        self.enqueue(launch)
    }

    fn record(&mut self, launches: &[Launch]) -> Result<Graph, DeviceError> {
        let executable = self.executable(launches.iter())?;
        self.check(executable.upload(&self.stream), || "upload a graph".into())?;
        self.graphs.push(executable);
        Ok(Graph(self.graphs.len() - 1))
    }

    fn replay(&mut self, graph: Graph) -> Result<(), DeviceError> {
        self.bind()?;
        self.busy = true;
        let result = self.graphs[graph.0].start(&self.stream);
        self.check(result, || "replay a graph".into())
    }

    fn synchronize(&mut self) -> Result<(), DeviceError> {
        self.bind()?;
        self.check(self.stream.synchronize(), || "wait for the device".into())?;
        self.busy = false;
        Ok(())
    }

    fn time_after(
        &mut self,
        before: &[Launch],
        launches: &[Launch],
        repeats: u32,
    ) -> Result<Duration, DeviceError> {
        let before = self.executable(before.iter())?;
        let timed = self.executable(launches.iter())?;
        let action = || format!("time {} launches", launches.len());
        self.busy = true;
        let mut times = Vec::new();
        for _ in 0..repeats.max(1) {
            let events = || {
                before.start(&self.stream)?;
                let start = Event::after(&self.stream)?;
                timed.start(&self.stream)?;
                Ok((start, Event::after(&self.stream)?))
            };
            let (start, end) = self.check(events(), action)?;
            // One at a time: the second graph is on its way while the first one runs.
            self.check(self.stream.synchronize(), action)?;
            times.push(self.between(&start, &end, action)?);
        }
        Ok(median(&mut times))
    }

    /// In a graph, as in use: launched one by one, short kernels would wait for the processor.
    fn time(&mut self, launches: &[Launch], repeats: u32) -> Result<Duration, DeviceError> {
        let repeats = repeats.max(1);
        let graph = self.executable((0..repeats).flat_map(|_| launches))?;
        self.busy = true;
        let events = || {
            graph.start(&self.stream)?; // not counted
            let start = Event::after(&self.stream)?;
            graph.start(&self.stream)?;
            Ok((start, Event::after(&self.stream)?))
        };
        let action = || format!("time {} launches", launches.len());
        let (start, end) = self.check(events(), action)?;
        self.synchronize()?;
        Ok(self.between(&start, &end, action)? / repeats)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The handles may be released only when the device is idle.
        if let Err(error) = self.synchronize() {
            log::warn!("{error}");
        }
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("info", &self.info)
            .field("graphs", &self.graphs.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a GPU: that it is refused for what probing finds. With one: that all kernels load and nothing leaks.
    #[test]
    fn a_device_opens_or_is_refused() {
        let found = probe().and_then(|driver| driver.usable(0).cloned());
        for _ in 0..2 {
            let opened = open(0, &OpenOptions::default())
                .map(|driver| (driver.kernels.len(), driver.info.clone()));
            let expected = found.clone().map(|info| (Kernel::all().count(), info));
            assert_eq!(opened, expected);
        }
        let none = probe().and_then(|driver| driver.usable(usize::MAX).cloned());
        assert_eq!(
            open(usize::MAX, &OpenOptions::default()).map(|_| ()),
            none.map(|_| ())
        );
        assert!(open(usize::MAX, &OpenOptions::default()).is_err());
    }
}
