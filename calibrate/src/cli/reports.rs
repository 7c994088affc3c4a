//! Reports that commands write beside what they print.

use super::error::CommandError;
use super::output::{self, Input};
use super::summary::quoted;
use crate::report::{Report, html, json};
use clap::Args;
use mergevit_runtime::OutputFile;
use std::path::{Path, PathBuf};

/// Where reports go.
#[derive(Clone, Debug, Args)]
pub(super) struct ReportArgs {
    /// Also write all results as JSON; - is standard output, and the table then goes to standard error
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write all results as an HTML page, one file that needs no network; - as above
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// The files of reports, ready to be written.
pub(super) struct Reports {
    json: Option<OutputFile>,
    page: Option<OutputFile>,
}

impl ReportArgs {
    /// Whether any is wanted.
    pub(super) fn is_any(&self) -> bool {
        self.json.is_some() || self.report.is_some()
    }

    /// Opens them, none of which may be one of `inputs`.
    ///
    /// # Errors
    /// [`CommandError`]: a file that cannot be written, or one that is named twice.
    pub(super) fn open(&self, inputs: &[Input]) -> Result<Reports, CommandError> {
        let open = |option, path: &Option<PathBuf>| {
            let path = path.as_deref();
            path.map(|path| output::open(option, path, inputs))
                .transpose()
        };
        let json = open("--json", &self.json)?;
        let page = open("--report", &self.report)?;
        output::check_distinct(("--json", json.as_ref()), ("--report", page.as_ref()))?;
        Ok(Reports { json, page })
    }
}

impl Reports {
    /// Whether there are any.
    pub(super) fn is_any(&self) -> bool {
        self.json.is_some() || self.page.is_some()
    }

    /// Whether one of them is standard output, where then nothing else belongs.
    pub(super) fn take_standard_output(&self) -> bool {
        let mut all = self.json.iter().chain(&self.page);
        all.any(OutputFile::is_standard_output)
    }

    /// Checks that none of them is `other`, the file of `option`.
    ///
    /// # Errors
    /// [`CommandError::Usage`].
    pub(super) fn check_distinct(
        &self,
        option: &'static str,
        other: &OutputFile,
    ) -> Result<(), CommandError> {
        output::check_distinct((option, Some(other)), ("--json", self.json.as_ref()))?;
        output::check_distinct((option, Some(other)), ("--report", self.page.as_ref()))
    }

    /// Writes the report in all its forms: files first, because a reader of standard output may go away.
    ///
    /// # Errors
    /// [`CommandError`]; no file is then half-written.
    pub(super) fn write(&self, report: &Report) -> Result<(), CommandError> {
        let mut texts = Vec::new();
        if let Some(output) = &self.json {
            let encoded = json(report);
            let fail =
                |error: serde_json::Error| CommandError::io(output.name(), "encode", error.into());
            texts.push((output, encoded.map_err(fail)?));
        }
        if let Some(output) = &self.page {
            texts.push((output, html(report)));
        }
        texts.sort_by_key(|(output, _)| output.is_standard_output());
        for (output, text) in &texts {
            output::write_text(output, text)?;
        }
        Ok(())
    }
}

/// The command line of this process, as a shell takes it.
pub(super) fn command_line() -> String {
    let words = std::env::args_os().enumerate();
    let word = |(index, word)| match index {
        // Where the program lies is the machine's business.
        0 => env!("CARGO_PKG_NAME").into(),
        _ => quoted(Path::new(&word)),
    };
    words.map(word).collect::<Vec<_>>().join(" ")
}
