//! NVRTC, NVIDIA's run-time compiler, loaded as a shared library.
//!
//! Only this file calls foreign functions. Their signatures are those of `nvrtc.h` of CUDA 12.6 (NVRTC manual,
//! section 3, "User Interface").

use crate::error::Error;
use libloading::Library;
use std::error::Error as _;
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::ptr;

/// The version whose machine code the driver of JetPack 6 accepts.
pub const VERSION: &str = "12.6";

type Program = *mut c_void;
type Status = c_int;

const SUCCESS: Status = 0;

/// The functions used, in the order of a compilation.
struct Functions {
    version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> Status,
    error_string: unsafe extern "C" fn(Status) -> *const c_char,
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> Status,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> Status,
    log_size: unsafe extern "C" fn(Program, *mut usize) -> Status,
    log: unsafe extern "C" fn(Program, *mut c_char) -> Status,
    cubin_size: unsafe extern "C" fn(Program, *mut usize) -> Status,
    cubin: unsafe extern "C" fn(Program, *mut c_char) -> Status,
    ptx_size: unsafe extern "C" fn(Program, *mut usize) -> Status,
    ptx: unsafe extern "C" fn(Program, *mut c_char) -> Status,
    destroy: unsafe extern "C" fn(*mut Program) -> Status,
}

/// A loaded NVRTC of any version.
pub struct Nvrtc {
    functions: Functions,
    // Keeps the functions' code in memory.
    _library: Library,
}

/// What a compilation makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// An ELF file of machine code.
    Cubin,
    /// Assembly text of the virtual machine.
    Ptx,
}

/// A compilation that worked.
#[derive(Debug)]
pub struct Compiled {
    /// Machine code or PTX, without the zero byte that ends PTX.
    pub code: Vec<u8>,
    /// The compiler's messages.
    pub log: String,
}

/// A compilation that failed.
#[derive(Debug)]
pub struct Refused {
    /// NVRTC's name of the error.
    pub reason: String,
    /// The compiler's messages.
    pub log: String,
}

impl Nvrtc {
    /// Loads the library with this file name; a bare name is searched for where the system's loader looks.
    ///
    /// # Errors
    /// If there is none, or it lacks a function.
    pub fn load(name: &OsStr) -> Result<Self, Error> {
        let failed = |error: libloading::Error| match error.source() {
            Some(cause) => Error::Nvrtc(format!("{error}: {cause}")),
            None => Error::Nvrtc(error.to_string()),
        };
        // SAFETY: the library's initialisation code runs. It was found under NVRTC's file name or named by the
        // user, and NVRTC's needs nothing of its caller.
        let library = unsafe { Library::new(name) }.map_err(failed)?;
        // SAFETY: the types are those of `nvrtc.h`, and the pointers live no longer than `_library`.
        let functions = unsafe {
            Functions {
                version: *library.get(b"nvrtcVersion\0").map_err(failed)?,
                error_string: *library.get(b"nvrtcGetErrorString\0").map_err(failed)?,
                create: *library.get(b"nvrtcCreateProgram\0").map_err(failed)?,
                compile: *library.get(b"nvrtcCompileProgram\0").map_err(failed)?,
                log_size: *library.get(b"nvrtcGetProgramLogSize\0").map_err(failed)?,
                log: *library.get(b"nvrtcGetProgramLog\0").map_err(failed)?,
                cubin_size: *library.get(b"nvrtcGetCUBINSize\0").map_err(failed)?,
                cubin: *library.get(b"nvrtcGetCUBIN\0").map_err(failed)?,
                ptx_size: *library.get(b"nvrtcGetPTXSize\0").map_err(failed)?,
                ptx: *library.get(b"nvrtcGetPTX\0").map_err(failed)?,
                destroy: *library.get(b"nvrtcDestroyProgram\0").map_err(failed)?,
            }
        };
        Ok(Self {
            functions,
            _library: library,
        })
    }

    /// Major and minor version, e.g. `12.6`.
    ///
    /// # Errors
    /// If the library does not say.
    pub fn version(&self) -> Result<String, Error> {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both pointers are to integers that live through the call.
        let status = unsafe { (self.functions.version)(&raw mut major, &raw mut minor) };
        match status {
            SUCCESS => Ok(format!("{major}.{minor}")),
            _ => Err(Error::Nvrtc(self.describe(status))),
        }
    }

    /// Compiles one source text called `name`; it may include the `headers` (name, text) and nothing else.
    ///
    /// # Errors
    /// [`Refused`], with what the compiler says.
    pub fn compile(
        &self,
        name: &str,
        text: &str,
        headers: &[(&str, &str)],
        options: &[&str],
        output: Output,
    ) -> Result<Compiled, Refused> {
        let program = self.create(name, text, headers)?;
        let options = c_strings(options.iter().copied())?;
        let pointers = pointers(&options);
        // SAFETY: the program is live; `pointers` has as many zero-terminated strings as is said.
        let status = unsafe {
            (self.functions.compile)(program.handle, length(&pointers)?, pointers.as_ptr())
        };
        let log = program.read(self.functions.log_size, self.functions.log)?;
        let log = String::from_utf8_lossy(&log)
            .trim_end_matches('\0')
            .to_owned();
        if status != SUCCESS {
            let reason = self.describe(status);
            return Err(Refused { reason, log });
        }
        let code = match output {
            Output::Cubin => program.read(self.functions.cubin_size, self.functions.cubin)?,
            Output::Ptx => {
                let mut text = program.read(self.functions.ptx_size, self.functions.ptx)?;
                text.pop_if(|last| *last == 0);
                text
            }
        };
        Ok(Compiled { code, log })
    }

    fn create(
        &self,
        name: &str,
        text: &str,
        headers: &[(&str, &str)],
    ) -> Result<Live<'_>, Refused> {
        let source = c_strings([text, name])?;
        let texts = c_strings(headers.iter().map(|header| header.1))?;
        let names = c_strings(headers.iter().map(|header| header.0))?;
        let (texts, names) = (pointers(&texts), pointers(&names));
        let mut handle = ptr::null_mut();
        // SAFETY: all strings end in zero and outlive the call, which copies them; both lists have the length
        // that is said; `handle` is written to.
        let status = unsafe {
            (self.functions.create)(
                &raw mut handle,
                source[0].as_ptr(),
                source[1].as_ptr(),
                length(&texts)?,
                texts.as_ptr(),
                names.as_ptr(),
            )
        };
        match status {
            SUCCESS => Ok(Live {
                nvrtc: self,
                handle,
            }),
            _ => Err(Refused::without_log(self.describe(status))),
        }
    }

    fn describe(&self, status: Status) -> String {
        // SAFETY: any status is allowed; the answer is a zero-terminated string that the library keeps forever.
        let text = unsafe { CStr::from_ptr((self.functions.error_string)(status)) };
        text.to_string_lossy().into_owned()
    }
}

/// A program that is destroyed when it goes out of scope.
struct Live<'a> {
    nvrtc: &'a Nvrtc,
    handle: Program,
}

impl Live<'_> {
    /// Reads a log or compiled code by its pair of functions.
    fn read(
        &self,
        size: unsafe extern "C" fn(Program, *mut usize) -> Status,
        copy: unsafe extern "C" fn(Program, *mut c_char) -> Status,
    ) -> Result<Vec<u8>, Refused> {
        let failed = |status| Refused::without_log(self.nvrtc.describe(status));
        let mut bytes = 0;
        // SAFETY: the program is live and `bytes` is written to.
        let status = unsafe { size(self.handle, &raw mut bytes) };
        if status != SUCCESS {
            return Err(failed(status));
        }
        let mut content = vec![0_u8; bytes];
        // SAFETY: the program is live, and `content` has the size that it asked for.
        let status = unsafe { copy(self.handle, content.as_mut_ptr().cast()) };
        match status {
            SUCCESS => Ok(content),
            _ => Err(failed(status)),
        }
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        // SAFETY: the program is live and not used again. A failure would leave it allocated, no more.
        unsafe { (self.nvrtc.functions.destroy)(&raw mut self.handle) };
    }
}

impl Refused {
    fn without_log(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            log: String::new(),
        }
    }
}

fn c_strings<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<CString>, Refused> {
    let strings = texts
        .into_iter()
        .map(CString::new)
        .collect::<Result<Vec<_>, _>>();
    strings.map_err(|_| Refused::without_log("a zero byte in a name or text"))
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).collect()
}

fn length<T>(list: &[T]) -> Result<c_int, Refused> {
    c_int::try_from(list.len()).map_err(|_| Refused::without_log("too many headers or options"))
}
