//! Lists of image files: CSV with a path, and perhaps a label, on each line.

use super::error::DatasetError;
use super::files::Found;
use csv::{ReaderBuilder, StringRecord, Trim};
use mergevit_runtime::input_file;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a header may call the two columns.
const PATH_NAMES: [&str; 5] = ["path", "file", "filename", "file_name", "image"];
const LABEL_NAMES: [&str; 4] = ["label", "labels", "class", "category"];

/// What is between the labels of an image that has several.
const SEPARATOR: char = '|';

/// Which columns hold what.
struct Columns {
    path: usize,
    label: Option<usize>,
}

impl Columns {
    /// What the first record says, if it is a header.
    fn of_header(record: &StringRecord) -> Option<Self> {
        let find = |names: &[&str]| {
            let is = |field: &str| names.iter().any(|name| name.eq_ignore_ascii_case(field));
            record.iter().position(is)
        };
        find(&PATH_NAMES).map(|path| Self {
            path,
            label: find(&LABEL_NAMES),
        })
    }

    /// Without a header: a path, and perhaps a label.
    fn plain(record: &StringRecord) -> Option<Self> {
        let label = (record.len() == 2).then_some(1);
        (record.len() <= 2).then_some(Self { path: 0, label })
    }
}

/// Reads the list at `path`. Paths in it are relative to its folder.
///
/// # Errors
/// A file that cannot be read or is no CSV of such columns, a line without a path, no images; with the line.
pub(super) fn find(path: &Path) -> Result<Found, DatasetError> {
    let bytes = input_file::read(path).map_err(|error| DatasetError::Io {
        path: path.into(),
        source: error.into(),
    })?;
    let wrong = |line: u64, reason: String| DatasetError::List {
        path: path.into(),
        line,
        reason,
    };
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        // Excel begins a file so.
        .from_reader(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut columns: Option<Columns> = None;
    let mut rows: Vec<(PathBuf, Vec<String>)> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            wrong(line, error.to_string())
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let Some(columns) = &columns else {
            let header = Columns::of_header(&record);
            let is_header = header.is_some();
            columns = header.or_else(|| Columns::plain(&record));
            match &columns {
                None => {
                    let found = record.len();
                    let reason = format!(
                        "{found} columns, expected a path and perhaps a label, or a header with `path` and `label`"
                    );
                    return Err(wrong(line, reason));
                }
                Some(columns) if !is_header => {
                    rows.push(row(&record, columns, folder).map_err(|reason| wrong(line, reason))?);
                }
                Some(_) => {}
            }
            continue;
        };
        rows.push(row(&record, columns, folder).map_err(|reason| wrong(line, reason))?);
    }
    if rows.is_empty() {
        return Err(DatasetError::Empty {
            path: path.into(),
            hint: " on any line".into(),
        });
    }
    Ok(numbered(rows))
}

/// The file and the labels on a line.
fn row(
    record: &StringRecord,
    columns: &Columns,
    folder: &Path,
) -> Result<(PathBuf, Vec<String>), String> {
    let path = match record.get(columns.path) {
        None | Some("") => return Err("no path".into()),
        Some(path) => folder.join(path),
    };
    let label = columns.label.and_then(|column| record.get(column));
    let labels = label.unwrap_or("").split(SEPARATOR).map(str::trim);
    let labels = labels.filter(|label| !label.is_empty());
    Ok((path, labels.map(String::from).collect()))
}

/// Labels as places in their alphabetical order, and images in the order of their first one.
fn numbered(rows: Vec<(PathBuf, Vec<String>)>) -> Found {
    let all = rows.iter().flat_map(|(_, labels)| labels);
    let mut places: BTreeMap<String, usize> = all.map(|label| (label.clone(), 0)).collect();
    for (place, own) in places.values_mut().enumerate() {
        *own = place;
    }
    let mut images: Vec<(PathBuf, Vec<usize>)> = rows
        .into_iter()
        .map(|(path, labels)| {
            let mut classes: Vec<usize> = labels.iter().map(|label| places[label]).collect();
            classes.sort_unstable();
            classes.dedup();
            (path, classes)
        })
        .collect();
    // Stable: of a class, they stay in the order of the list.
    images.sort_by_key(|(_, classes)| classes.first().copied());
    Found {
        images,
        names: places.into_keys().collect(),
        what: "label",
    }
}
