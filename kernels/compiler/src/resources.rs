//! What each kernel takes of an SM, as a table.

use crate::error::Error;
use crate::occupancy::{Block, WARPS_PER_SM};
use crate::ptx::Entry;
use crate::ptxas::Report;
use crate::sources::Source;
use std::fmt::Write;

/// Where the table begins and ends in `kernels/README.md`.
const MARKERS: (&str, &str) = ("<!-- resources -->\n", "<!-- /resources -->\n");

/// What one kernel takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Name of the kernel.
    pub kernel: String,
    /// What its largest common block takes of an SM.
    pub block: Block,
}

/// Brings together what the assembler reports, what the PTX says and what the source declares.
///
/// # Errors
/// If the three do not fit each other, or no SM can hold a block.
pub fn gather(
    source: &Source,
    reports: &[Report],
    entries: &[Entry],
) -> Result<Vec<Resources>, Error> {
    let mut declared = source.dynamic_shared()?;
    let mut kernels = Vec::new();
    for entry in entries {
        let name = &*entry.kernel;
        let report = reports.iter().find(|report| report.kernel == name);
        let report =
            report.ok_or_else(|| Error::kernel(name, "is not in the assembler's report"))?;
        let dynamic = match (entry.dynamic_shared, declared.remove(name)) {
            (true, Some(bytes)) => bytes,
            (false, None) => 0,
            (true, None) => {
                let line = format!("// dynamic shared: {name} BYTES");
                let what = format!(
                    "has dynamic shared memory; {} lacks the line `{line}`",
                    source.file()
                );
                return Err(Error::kernel(name, what));
            }
            (false, Some(_)) => {
                return Err(Error::kernel(
                    name,
                    "uses none of the dynamic shared memory declared",
                ));
            }
        };
        let block = Block {
            threads: entry.threads,
            registers: report.registers,
            shared: report.shared.saturating_add(dynamic),
        };
        if block.per_sm() == 0 {
            return Err(Error::kernel(name, format!("no SM can hold {block:?}")));
        }
        kernels.push(Resources {
            kernel: name.to_owned(),
            block,
        });
    }
    if let Some(name) = declared.keys().next() {
        let what =
            format!("declares dynamic shared memory of {name}, which is none of its kernels");
        return Err(Error::source(&source.file(), what));
    }
    if reports.len() != entries.len() || kernels.is_empty() {
        let what = format!(
            "{} kernels in its machine code, {} in its PTX",
            reports.len(),
            entries.len()
        );
        return Err(Error::source(&source.file(), what));
    }
    kernels.sort_by(|a, b| a.kernel.cmp(&b.kernel));
    Ok(kernels)
}

/// The table, in Markdown.
pub fn table<'a>(kernels: impl IntoIterator<Item = &'a Resources>) -> String {
    let mut text = "\
| kernel | threads | registers | shared memory | blocks per SM | occupancy |
|---|---:|---:|---:|---:|---:|
"
    .to_owned();
    for Resources { kernel, block } in kernels {
        let percent = (100 * block.warps_per_sm() + WARPS_PER_SM / 2) / WARPS_PER_SM;
        let Block {
            threads,
            registers,
            shared,
        } = block;
        let blocks = block.per_sm();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{kernel}` | {threads} | {registers} | {shared} | {blocks} | {percent} % |"
        );
    }
    text
}

/// `readme` with the table in its place.
///
/// # Errors
/// If it has no such place.
pub fn place(readme: &str, table: &str) -> Result<String, Error> {
    let missing =
        || Error::Readme("the lines <!-- resources --> and <!-- /resources --> are missing");
    let (before, rest) = readme.split_once(MARKERS.0).ok_or_else(missing)?;
    let (_, after) = rest.split_once(MARKERS.1).ok_or_else(missing)?;
    Ok(format!(
        "{before}{}\n{table}\n{}{after}",
        MARKERS.0, MARKERS.1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn source(text: &str) -> Source {
        Source {
            name: "a".into(),
            text: text.into(),
            headers: BTreeMap::new(),
        }
    }

    fn report(kernel: &str, shared: u32) -> Report {
        Report {
            kernel: kernel.into(),
            registers: 128,
            barriers: 1,
            shared,
            constant: 400,
        }
    }

    fn entry(kernel: &str, dynamic_shared: bool) -> Entry {
        Entry {
            kernel: kernel.into(),
            threads: 256,
            dynamic_shared,
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_kernel() {
        let declared = source("// dynamic shared: gemm 49152\n");
        let reports = [report("merge", 0), report("gemm", 128)];
        let kernels = gather(
            &declared,
            &reports,
            &[entry("merge", false), entry("gemm", true)],
        )
        .expect("both fit");
        let table = table(&kernels);
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| `gemm` | 256 | 128 | 49280 | 2 | 33 % |",
                "| `merge` | 256 | 128 | 0 | 2 | 33 % |"
            ]
        );
        let readme = "# A\n<!-- resources -->\nold\n<!-- /resources -->\nrest\n";
        let placed = place(readme, &table).expect("a place");
        assert_eq!(
            placed,
            format!("# A\n<!-- resources -->\n\n{table}\n<!-- /resources -->\nrest\n")
        );
        assert_eq!(place(&placed, &table).expect("a place"), placed);
        place("# A\n<!-- resources -->\n", &table).expect_err("no end");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refuse = |text: &str, reports: &[Report], entries: &[Entry]| {
            gather(&source(text), reports, entries)
                .expect_err("must be refused")
                .to_string()
        };
        let declared = "// dynamic shared: f 1024";
        assert!(refuse("", &[report("f", 0)], &[entry("f", true)]).contains("lacks the line"));
        assert!(refuse(declared, &[report("f", 0)], &[entry("f", false)]).contains("uses none"));
        assert!(
            refuse(declared, &[report("g", 0)], &[entry("g", false)])
                .contains("none of its kernels")
        );
        assert!(refuse("", &[], &[entry("f", false)]).contains("not in the assembler's report"));
        assert!(
            refuse("", &[report("f", 0)], &[])
                .contains("1 kernels in its machine code, 0 in its PTX")
        );
        assert!(refuse("", &[], &[]).contains("0 kernels"));
        assert!(
            refuse("", &[report("f", 200_000)], &[entry("f", false)]).contains("no SM can hold")
        );
    }
}
