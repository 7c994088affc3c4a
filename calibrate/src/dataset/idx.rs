//! The IDX container of MNIST: big-endian header, then bytes (LeCun et al., yann.lecun.com/exdb/mnist).

use super::error::DatasetError;
use super::image::Image;
use flate2::read::MultiGzDecoder;
use mergevit_kernels::frame::{MAX_SIDE, PixelFormat};
use mergevit_runtime::input_file::{self, InputError};
use std::cmp::Ordering;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Largest file after decompression: a calibration set has less than 4 GiB of pixels.
const MAX_BYTES: u64 = 1 << 32;

const IMAGES_MAGIC: u32 = 0x0803;
const LABELS_MAGIC: u32 = 0x0801;

pub(super) struct Idx {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    labels: Option<Vec<u8>>,
}

/// Opens a file, decompressed if it starts like gzip.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = input_file::open(path).map_err(|error| match error {
        InputError::Folder => io::Error::new(
            io::ErrorKind::IsADirectory,
            "a folder, expected an IDX file (folder:DIR is a folder of images)",
        ),
        error => error.into(),
    })?;
    let mut file = BufReader::new(file);
    if file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(MultiGzDecoder::new(file)))
    } else {
        Ok(Box::new(file))
    }
}

/// Reads up to `limit` bytes.
fn read(file: &mut dyn Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Checks magic number and length; returns the `DIMENSIONS` sizes and the bytes after the header. Reads no more than
/// the header promises, whatever a compressed file would become.
fn parse<const DIMENSIONS: usize>(
    path: &Path,
    magic: u32,
) -> Result<([usize; DIMENSIONS], Vec<u8>), DatasetError> {
    let io = |source| DatasetError::Io {
        path: path.into(),
        source,
    };
    let wrong = |field, found: String, expected: String| {
        Err(DatasetError::Idx {
            path: path.into(),
            field,
            found,
            expected,
        })
    };
    let mut file = open(path).map_err(io)?;
    let length = 4 * (DIMENSIONS + 1);
    let header = read(&mut file, length as u64).map_err(io)?;
    if header.len() < length {
        return wrong(
            "header",
            format!("{} bytes", header.len()),
            format!("{length} bytes"),
        );
    }
    let (words, _) = header.as_chunks::<4>();
    let word = |i: usize| u32::from_be_bytes(words[i]);
    if word(0) != magic {
        return wrong(
            "magic number",
            format!("{:#010x}", word(0)),
            format!("{magic:#010x}"),
        );
    }
    let sizes: [usize; DIMENSIONS] = std::array::from_fn(|i| word(i + 1) as usize);
    let length = sizes
        .iter()
        .try_fold(1u64, |product, &n| product.checked_mul(n as u64))
        .filter(|length| *length <= MAX_BYTES);
    let Some(length) = length else {
        let found = format!("{sizes:?} bytes promised by the header");
        return wrong("data", found, format!("at most {MAX_BYTES}"));
    };
    // One more, to see that there are no more.
    let bytes = read(&mut file, length + 1).map_err(io)?;
    match (bytes.len() as u64).cmp(&length) {
        Ordering::Equal => Ok((sizes, bytes)),
        Ordering::Less => wrong(
            "data",
            format!("{} bytes", bytes.len()),
            format!("{length} bytes"),
        ),
        Ordering::Greater => wrong("data", "more bytes".into(), format!("{length} bytes")),
    }
}

impl Idx {
    pub(super) fn open(
        images: &Path,
        labels: Option<&Path>,
        classes: usize,
    ) -> Result<Self, DatasetError> {
        let ([count, height, width], pixels) = parse::<3>(images, IMAGES_MAGIC)?;
        if count == 0 {
            return Err(DatasetError::Empty {
                path: images.into(),
                hint: String::new(),
            });
        }
        for (field, side) in [("rows", height), ("columns", width)] {
            if !(1..=MAX_SIDE).contains(&side) {
                return Err(DatasetError::Idx {
                    path: images.into(),
                    field,
                    found: side.to_string(),
                    expected: format!("1 to {MAX_SIDE}"),
                });
            }
        }
        let labels = labels
            .map(|path| read_labels(path, count, classes))
            .transpose()?;
        Ok(Self {
            width,
            height,
            pixels,
            labels,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.pixels.len() / (self.width * self.height)
    }

    /// The class of an image, if there are labels.
    pub(super) fn class(&self, index: usize) -> Option<usize> {
        self.labels.as_ref().map(|labels| labels[index].into())
    }

    /// Classes up to the last that an image has.
    pub(super) fn classes(&self) -> usize {
        let largest = self.labels.iter().flatten().max();
        largest.map_or(0, |&label| usize::from(label) + 1)
    }

    pub(super) fn get(&self, index: usize) -> Image {
        let size = self.width * self.height;
        Image {
            format: PixelFormat::Grey,
            width: self.width,
            height: self.height,
            bytes: self.pixels[index * size..][..size].to_vec(),
            label: self.class(index),
        }
    }
}

fn read_labels(path: &Path, count: usize, classes: usize) -> Result<Vec<u8>, DatasetError> {
    let ([found], labels) = parse::<1>(path, LABELS_MAGIC)?;
    if found != count {
        return Err(DatasetError::Idx {
            path: path.into(),
            field: "labels",
            found: found.to_string(),
            expected: format!("{count}, one an image"),
        });
    }
    match labels
        .iter()
        .position(|&label| usize::from(label) >= classes)
    {
        Some(index) => {
            let label = labels[index].into();
            Err(DatasetError::Label {
                path: path.into(),
                index,
                label,
                classes,
            })
        }
        None => Ok(labels),
    }
}
