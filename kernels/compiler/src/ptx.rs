//! What PTX says about its kernels and the assembler's report does not: threads a block, and whether the size
//! of shared memory is left to the launch. And which drivers understand it.

use crate::error::Error;

/// A kernel in a PTX text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the kernel.
    pub kernel: String,
    /// Most threads a block (`.maxntid`: `__launch_bounds__` in the source).
    pub threads: u32,
    /// Whether it names an `extern __shared__` array.
    pub dynamic_shared: bool,
}

/// The kernels of a PTX text, in its order.
///
/// # Errors
/// [`Error::Kernel`] if one does not state how many threads a block has.
pub fn entries(ptx: &str) -> Result<Vec<Entry>, Error> {
    let mut dynamic: Vec<&str> = Vec::new();
    let mut entries = Vec::new();
    let mut lines = ptx.lines();
    while let Some(line) = lines.next() {
        if let Some(array) = line.strip_prefix(".extern .shared ") {
            dynamic.extend(words(array).filter(|word| !word.starts_with('.') && !is_number(word)));
        } else if let Some(name) = entry_name(line) {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "}").collect();
            let threads = body
                .iter()
                .find_map(|line| line.strip_prefix(".maxntid "))
                .and_then(product);
            entries.push(Entry {
                kernel: name.to_owned(),
                threads: threads.ok_or_else(|| Error::kernel(name, "has no __launch_bounds__"))?,
                dynamic_shared: body
                    .iter()
                    .flat_map(|line| words(line))
                    .any(|word| dynamic.contains(&word)),
            });
        }
    }
    Ok(entries)
}

/// The compiler's full version, `12.6.85`, from the comment `release 12.6, V12.6.85`.
pub fn compiler_version(ptx: &str) -> Option<&str> {
    let comment = ptx
        .lines()
        .find(|line| line.starts_with("// Cuda compilation tools"))?;
    comment.rsplit_once(", V").map(|(_, version)| version)
}

/// The version of PTX that the drivers of CUDA 12.0 know (PTX ISA manual, "Release Notes").
const VERSION: &str = ".version 8.0";

/// How lines begin that nothing needs.
const LEFT_OUT: [&str; 3] = [
    ".pragma \"used_bytes_mask",
    "// begin inline asm",
    "// end inline asm",
];

/// The same text for older drivers than the compiler's own, which refuse the version that it states. Nothing in it
/// is as new as that version but hints which bytes of a vector load are used: they go. Whether old assemblers take
/// what is left, and make the same of it, continuous integration asks one. The comments around inline assembly,
/// a twelfth of the text, go as well.
///
/// # Errors
/// [`Error::Nvrtc`] if the text states no version.
pub fn for_older_drivers(ptx: &str) -> Result<String, Error> {
    let needed = |line: &&str| {
        let text = line.trim_start();
        !LEFT_OUT.iter().any(|start| text.starts_with(start))
    };
    let mut lines: Vec<&str> = ptx.lines().filter(needed).collect();
    let version = lines.iter_mut().find(|line| line.starts_with(".version "));
    *version.ok_or_else(|| Error::Nvrtc("PTX without a version".to_owned()))? = VERSION;
    lines.push("");
    Ok(lines.join("\n"))
}

fn entry_name(line: &str) -> Option<&str> {
    let (_, name) = line.split_once(".entry ")?;
    words(name).next()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.')))
        .filter(|word| !word.is_empty())
}

fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

fn product(dimensions: &str) -> Option<u32> {
    dimensions.split(',').try_fold(1_u32, |all, size| {
        all.checked_mul(size.trim().parse().ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTX: &str = "\
// Cuda compilation tools, release 12.6, V12.6.85
.extern .shared .align 128 .b8 shared[];

.visible .entry gemm(
\t.param .align 8 .b8 gemm_param_0[96]
)
.maxntid 256, 1, 1
.minnctapersm 2
{
\tmov.u32 \t%r1, shared;
\tret;
}
\t// .globl\tlayer_norm
.visible .entry layer_norm(
\t.param .align 8 .b8 layer_norm_param_0[48]
)
.maxntid 8, 4, 2
{
\tst.shared.u32 \t[shared_sum], %r1;
\tret;

}
";

    #[test]
    fn kernels_are_read() {
        let entry = |kernel: &str, threads, dynamic_shared| Entry {
            kernel: kernel.into(),
            threads,
            dynamic_shared,
        };
        assert_eq!(
            entries(PTX).expect("two"),
            [entry("gemm", 256, true), entry("layer_norm", 64, false)]
        );
        assert_eq!(compiler_version(PTX), Some("12.6.85"));
        assert_eq!(compiler_version(".version 8.5"), None);
    }

    #[test]
    fn older_drivers_take_it_and_nothing_is_superfluous() {
        let newer = "// a\n.version 8.5\n.target sm_80\n\t.pragma \"used_bytes_mask 15\";\n\
                     \tld.x;\n\t// begin inline asm\n\tmma.x;\n\t// end inline asm\n\t.pragma \"nounroll\";\n";
        assert_eq!(
            for_older_drivers(newer).expect("a version"),
            "// a\n.version 8.0\n.target sm_80\n\tld.x;\n\tmma.x;\n\t.pragma \"nounroll\";\n"
        );
        assert!(for_older_drivers(".target sm_80").is_err());
    }

    #[test]
    fn launch_bounds_are_required() {
        let error = entries(&PTX.replace(".maxntid 8, 4, 2\n", "")).expect_err("no bounds");
        assert_eq!(error.to_string(), "layer_norm: has no __launch_bounds__");
    }
}
