//! The driver's handles, released when dropped. The driver's context must be current on the
//! thread that drops a handle; [`Driver`](super::Driver) sees to it.

use super::error::reason;
use cudarc::driver::sys::{
    self, CUdeviceptr, CUevent, CUfunction, CUgraphExec, CUgraphInstantiate_flags, CUmodule,
    CUstream, CUstreamCaptureMode,
};
use cudarc::driver::{DriverError, result};
use std::ffi::{CString, c_void};
use std::ptr;

/// Warns of a handle that cannot be released: nothing else can be done about it.
pub(super) fn given_back(what: &str, result: Result<(), DriverError>) {
    if let Err(error) = result {
        log::warn!("cuda: cannot release {what}: {}", reason(error));
    }
}

/// A stream.
pub(super) struct Stream(pub(super) CUstream);

impl Stream {
    pub(super) fn new() -> Result<Self, DriverError> {
        result::stream::create(result::stream::StreamKind::NonBlocking).map(Self)
    }

    pub(super) fn synchronize(&self) -> Result<(), DriverError> {
        // SAFETY: the stream lives as long as `self`.
        unsafe { result::stream::synchronize(self.0) }
    }

    /// Starts to record what is asked of the stream instead of doing it.
    pub(super) fn begin(&self) -> Result<(), DriverError> {
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: as above.
        unsafe { result::stream::begin_capture(self.0, mode) }
    }

    /// Ends recording.
    pub(super) fn end(&self) -> Result<Executable, DriverError> {
        // SAFETY: as above.
        let graph = unsafe { result::stream::end_capture(self.0)? };
        // SAFETY: `graph` is valid until it is destroyed, once, below.
        unsafe {
            let executable = result::graph::instantiate(graph, CUgraphInstantiate_flags(0));
            given_back("a graph", result::graph::destroy(graph));
            executable.map(Executable)
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once.
        given_back("the stream", unsafe { result::stream::destroy(self.0) });
    }
}

/// A recorded graph.
pub(super) struct Executable(CUgraphExec);

impl Executable {
    /// Gives the device what it needs to run it.
    pub(super) fn upload(&self, stream: &Stream) -> Result<(), DriverError> {
        // SAFETY: graph and stream live.
        unsafe { result::graph::upload(self.0, stream.0) }
    }

    pub(super) fn start(&self, stream: &Stream) -> Result<(), DriverError> {
        // SAFETY: graph and stream live.
        unsafe { result::graph::launch(self.0, stream.0) }
    }
}

impl Drop for Executable {
    fn drop(&mut self) {
        // SAFETY: instantiated once, destroyed once.
        given_back("a graph", unsafe { result::graph::exec_destroy(self.0) });
    }
}

/// A module in device memory.
pub(super) struct LoadedModule(CUmodule);

/// Bytes for the messages of the driver's compiler.
const LOG_BYTES: usize = 4096;

impl LoadedModule {
    /// Loads machine code, or PTX that ends in a zero byte. An error comes with the compiler's message, if
    /// there is one.
    pub(super) fn load(code: &[u8]) -> Result<Self, (DriverError, String)> {
        use sys::CUjit_option as Jit;
        let mut message = [0u8; LOG_BYTES];
        let mut options = [
            Jit::CU_JIT_ERROR_LOG_BUFFER,
            Jit::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
        ];
        let mut values = [
            message.as_mut_ptr().cast::<c_void>(),
            ptr::without_provenance_mut(LOG_BYTES),
        ];
        let mut module = ptr::null_mut();
        // SAFETY: the code is a whole ELF file or ends in a zero byte; there are as many values as options,
        // of the types that the options ask for, and the message's place outlives the call.
        let status = unsafe {
            sys::cuModuleLoadDataEx(
                &raw mut module,
                code.as_ptr().cast(),
                options.len() as u32,
                options.as_mut_ptr(),
                values.as_mut_ptr(),
            )
        };
        match status.result() {
            Ok(()) => Ok(Self(module)),
            Err(error) => {
                let end = message.iter().position(|&byte| byte == 0);
                let message = &message[..end.unwrap_or(LOG_BYTES)];
                Err((error, String::from_utf8_lossy(message).trim().into()))
            }
        }
    }

    /// A kernel, valid as long as the module.
    pub(super) fn function(&self, name: &str) -> Result<CUfunction, DriverError> {
        let name = CString::new(name).expect("kernels have names without zero bytes");
        // SAFETY: the module is loaded.
        unsafe { result::module::get_function(self.0, name) }
    }
}

impl Drop for LoadedModule {
    fn drop(&mut self) {
        // SAFETY: loaded once, unloaded once.
        given_back("a module", unsafe { result::module::unload(self.0) });
    }
}

/// Device memory.
pub(super) struct DeviceMemory(pub(super) CUdeviceptr);

impl DeviceMemory {
    /// Zeroed before anything that the stream is asked later.
    pub(super) fn zeroed(bytes: usize, stream: &Stream) -> Result<Self, DriverError> {
        // SAFETY: the memory is written, below, before anything can read it.
        let memory = Self(unsafe { result::malloc_sync(bytes)? });
        // SAFETY: the memory is as long and lives as long as `memory`.
        unsafe { result::memset_d8_async(memory.0, 0, bytes, stream.0)? };
        Ok(memory)
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        // SAFETY: allocated once, freed once.
        given_back("memory", unsafe { result::free_sync(self.0) });
    }
}

/// Host memory that the device sees.
pub(super) struct HostMemory {
    host: *mut u8,
    len: usize,
    /// Where the device sees it.
    pub(super) device: CUdeviceptr,
}

impl HostMemory {
    /// Page-locked, zeroed. Not write-combined: results are read back through it.
    pub(super) fn zeroed(len: usize) -> Result<Self, DriverError> {
        let flags = sys::CU_MEMHOSTALLOC_DEVICEMAP | sys::CU_MEMHOSTALLOC_PORTABLE;
        // SAFETY: the memory is written before it is read.
        let host = unsafe { result::malloc_host(len, flags)? };
        let mut memory = Self {
            host: host.cast(),
            len,
            device: 0,
        };
        // SAFETY: `host` points to `len` bytes that we have just allocated.
        unsafe { ptr::write_bytes(memory.host, 0, len) };
        // SAFETY: `host` was allocated with `DEVICEMAP`, and the result's place is valid.
        unsafe { sys::cuMemHostGetDevicePointer_v2(&raw mut memory.device, host, 0) }.result()?;
        Ok(memory)
    }

    /// The host's view. The device must not be using it.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: `host` points to `len` initialized bytes, which are borrowed through `self` alone.
        unsafe { std::slice::from_raw_parts_mut(self.host, self.len) }
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        // SAFETY: allocated once, freed once.
        given_back("memory", unsafe {
            result::free_host(self.host.cast::<c_void>())
        });
    }
}

/// A point in a stream whose time is taken.
pub(super) struct Event(CUevent);

impl Event {
    /// When all that the stream was asked so far has happened.
    pub(super) fn after(stream: &Stream) -> Result<Self, DriverError> {
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).map(Self)?;
        // SAFETY: event and stream live.
        unsafe { result::event::record(event.0, stream.0)? };
        Ok(event)
    }

    /// Milliseconds from `start` to this event, once both have happened.
    pub(super) fn since(&self, start: &Self) -> Result<f32, DriverError> {
        // SAFETY: both events live and were recorded.
        unsafe { result::event::elapsed(start.0, self.0) }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once.
        given_back("an event", unsafe { result::event::destroy(self.0) });
    }
}
