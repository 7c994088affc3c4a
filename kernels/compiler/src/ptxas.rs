//! The report of `ptxas -v`, the assembler inside NVRTC: what each function takes of the machine.

use crate::error::Error;

/// What the assembler says about one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Name of the kernel.
    pub kernel: String,
    /// Registers a thread.
    pub registers: u32,
    /// Barriers a block.
    pub barriers: u32,
    /// Static shared memory, bytes a block.
    pub shared: u32,
    /// Constant memory of all banks, bytes.
    pub constant: u32,
}

/// Bytes of local memory that one function uses, by reason: all must be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    stack: u32,
    spill_stores: u32,
    spill_loads: u32,
}

/// Reads the report of one compilation. Lines are
/// ```text
/// ptxas info    : Compiling entry function 'gemm' for 'sm_87'
/// ptxas info    : Function properties for gemm
/// ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
/// ptxas info    : Used 60 registers, used 1 barriers, 128 bytes smem, 456 bytes cmem[0]
/// ```
///
/// # Errors
/// [`Error::Kernel`] if a function uses local memory: a stack frame, spilled registers. [`Error::Report`] if a
/// line is none of those: warnings among them.
pub fn parse(log: &str) -> Result<Vec<Report>, Error> {
    let mut reports = Vec::new();
    let mut entry: Option<&str> = None;
    let mut function: Option<&str> = None;
    for line in log.lines().filter(|line| !line.trim().is_empty()) {
        let unknown = || Error::Report(format!("cannot read the line {line:?}"));
        let text = message(line).ok_or_else(unknown)?;
        if let Some(rest) = text.strip_prefix("Compiling entry function '") {
            let (name, _) = rest.split_once('\'').ok_or_else(unknown)?;
            if entry.replace(name).is_some() {
                return Err(Error::Report(format!(
                    "no registers reported before {name}"
                )));
            }
        } else if let Some(name) = text.strip_prefix("Function properties for ") {
            function = Some(name.trim());
        } else if text.contains("bytes stack frame") {
            let name = function.take().ok_or_else(unknown)?;
            refuse_local_memory(name, frame(text).ok_or_else(unknown)?)?;
        } else if text.starts_with("Used ") {
            let name = entry.take().ok_or_else(unknown)?;
            reports.push(used(name, text)?.ok_or_else(unknown)?);
        } else if !text.contains(" bytes gmem") {
            return Err(unknown());
        }
    }
    match entry {
        Some(name) => Err(Error::Report(format!("no registers reported for {name}"))),
        None => Ok(reports),
    }
}

/// The text behind `ptxas info    :` or, in a continued line, `ptxas         .`.
fn message(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("ptxas")?.trim_start();
    let rest = rest.strip_prefix("info").unwrap_or(rest).trim_start();
    Some(rest.strip_prefix([':', '.'])?.trim())
}

/// A number and what it counts: `60 registers`, `128 bytes smem`.
fn quantity(text: &str) -> Option<(u32, &str)> {
    let (number, what) = text.trim().split_once(' ')?;
    Some((number.parse().ok()?, what))
}

fn frame(text: &str) -> Option<Frame> {
    let (mut stack, mut spill_stores, mut spill_loads) = (None, None, None);
    for part in text.split(',') {
        let (bytes, what) = quantity(part)?;
        *match what {
            "bytes stack frame" => &mut stack,
            "bytes spill stores" => &mut spill_stores,
            "bytes spill loads" => &mut spill_loads,
            _ => return None,
        } = Some(bytes);
    }
    Some(Frame {
        stack: stack?,
        spill_stores: spill_stores?,
        spill_loads: spill_loads?,
    })
}

fn refuse_local_memory(function: &str, frame: Frame) -> Result<(), Error> {
    let Frame {
        stack,
        spill_stores,
        spill_loads,
    } = frame;
    if (stack, spill_stores, spill_loads) == (0, 0, 0) {
        return Ok(());
    }
    let what = format!(
        "uses local memory: {stack} bytes of stack frame, {spill_stores} of spill stores, {spill_loads} of spill loads"
    );
    Err(Error::kernel(function, what))
}

fn used(kernel: &str, text: &str) -> Result<Option<Report>, Error> {
    let (mut registers, mut barriers, mut shared, mut constant) = (None, 0, 0, 0);
    for part in text.split(',') {
        let part = part.trim();
        let part = part
            .strip_prefix("Used ")
            .or_else(|| part.strip_prefix("used "))
            .unwrap_or(part);
        match quantity(part) {
            Some((count, "registers")) => registers = Some(count),
            Some((count, "barriers")) => barriers = count,
            Some((bytes, "bytes smem")) => shared = bytes,
            Some((bytes, what)) if what.starts_with("bytes cmem[") => constant += bytes,
            Some((0, "bytes lmem" | "bytes cumulative stack size")) => {}
            Some((bytes, "bytes lmem" | "bytes cumulative stack size")) => {
                return Err(Error::kernel(
                    kernel,
                    format!("uses {bytes} bytes of local memory"),
                ));
            }
            _ => return Ok(None),
        }
    }
    Ok(registers.map(|registers| Report {
        kernel: kernel.to_owned(),
        registers,
        barriers,
        shared,
        constant,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
ptxas info    : 112 bytes gmem, 224 bytes cmem[4]
ptxas info    : Compiling entry function 'gemm' for 'sm_87'
ptxas info    : Function properties for gemm
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 60 registers, used 1 barriers, 128 bytes smem, 456 bytes cmem[0], 8 bytes cmem[2]
ptxas info    : Function properties for helper
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Compiling entry function 'layer_norm' for 'sm_87'
ptxas info    : Function properties for layer_norm
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 64 registers, 400 bytes cmem[0]

";

    #[test]
    fn kernels_are_read() {
        let reports = parse(LOG).expect("a report");
        let gemm = Report {
            kernel: "gemm".into(),
            registers: 60,
            barriers: 1,
            shared: 128,
            constant: 464,
        };
        let layer_norm = Report {
            kernel: "layer_norm".into(),
            registers: 64,
            barriers: 0,
            shared: 0,
            constant: 400,
        };
        assert_eq!(reports, [gemm, layer_norm]);
        assert_eq!(parse("").expect("no kernel"), []);
    }

    #[test]
    fn local_memory_is_refused() {
        for (from, to) in [
            ("    0 bytes stack frame", "    8 bytes stack frame"),
            ("0 bytes spill stores", "4 bytes spill stores"),
            ("0 bytes spill loads", "4 bytes spill loads"),
            ("128 bytes smem", "16 bytes lmem"),
            ("128 bytes smem", "16 bytes cumulative stack size"),
        ] {
            let log = LOG.replacen(from, to, 1);
            assert_ne!(log, LOG);
            let error = parse(&log).expect_err(to);
            assert!(
                matches!(&error, Error::Kernel { kernel, .. } if kernel == "gemm"),
                "{error}"
            );
        }
        let helper = LOG.replace(
            "for helper\nptxas         .     0",
            "for helper\nptxas         .     8",
        );
        let error = parse(&helper).expect_err("a function's frame");
        assert!(
            matches!(&error, Error::Kernel { kernel, .. } if kernel == "helper"),
            "{error}"
        );
    }

    #[test]
    fn unknown_lines_are_refused() {
        for line in [
            "ptxas warning : Value of threads per SM for entry gemm is out of range",
            "gemm.cu(3): warning #177-D: variable \"x\" was declared but never referenced",
            "ptxas info    : Used 60 registers",
            "ptxas info    : Compiling entry function 'last' for 'sm_87'",
        ] {
            assert!(
                matches!(parse(&format!("{LOG}{line}\n")), Err(Error::Report(_))),
                "{line}"
            );
        }
        assert!(matches!(
            parse(&LOG.replace("1 barriers", "1 widgets")),
            Err(Error::Report(_))
        ));
        assert!(matches!(
            parse(&LOG.replace("Used 60 registers, ", "Used ")),
            Err(Error::Report(_))
        ));
    }
}
