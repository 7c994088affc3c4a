//! The IDX container of MNIST: big-endian header, then bytes (LeCun et al., yann.lecun.com/exdb/mnist).

use super::error::DatasetError;
use super::image::Image;
use flate2::read::MultiGzDecoder;
use mergevit_kernels::frame::{MAX_SIDE, PixelFormat};
use std::io::Read;
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

/// Reads a file, and decompresses it if it starts like gzip.
fn read(path: &Path) -> Result<Vec<u8>, DatasetError> {
    let io = |source| DatasetError::Io {
        path: path.into(),
        source,
    };
    let raw = std::fs::read(path).map_err(io)?;
    if !raw.starts_with(&[0x1f, 0x8b]) {
        return Ok(raw);
    }
    let mut bytes = Vec::new();
    MultiGzDecoder::new(&raw[..])
        .take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    Ok(bytes)
}

/// Checks magic number and length; returns the `DIMENSIONS` sizes and the bytes after the header.
fn parse<const DIMENSIONS: usize>(
    path: &Path,
    mut bytes: Vec<u8>,
    magic: u32,
) -> Result<([usize; DIMENSIONS], Vec<u8>), DatasetError> {
    let wrong = |field, found: String, expected: String| {
        Err(DatasetError::Idx {
            path: path.into(),
            field,
            found,
            expected,
        })
    };
    let header = 4 * (DIMENSIONS + 1);
    if bytes.len() < header {
        return wrong(
            "header",
            format!("{} bytes", bytes.len()),
            format!("{header} bytes"),
        );
    }
    let (words, _) = bytes[..header].as_chunks::<4>();
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
        .try_fold(1usize, |product, &n| product.checked_mul(n));
    if length != Some(bytes.len() - header) {
        let expected = length.map_or("fewer than 2^64".into(), |n| n.to_string());
        return wrong(
            "data",
            format!("{} bytes", bytes.len() - header),
            format!("{expected} bytes"),
        );
    }
    bytes.drain(..header);
    Ok((sizes, bytes))
}

impl Idx {
    pub(super) fn open(
        images: &Path,
        labels: Option<&Path>,
        classes: usize,
    ) -> Result<Self, DatasetError> {
        let ([count, height, width], pixels) = parse::<3>(images, read(images)?, IMAGES_MAGIC)?;
        if count == 0 {
            return Err(DatasetError::Empty {
                path: images.into(),
                hint: "",
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

    pub(super) fn is_labelled(&self) -> bool {
        self.labels.is_some()
    }

    pub(super) fn get(&self, index: usize) -> Image {
        let size = self.width * self.height;
        Image {
            format: PixelFormat::Grey,
            width: self.width,
            height: self.height,
            bytes: self.pixels[index * size..][..size].to_vec(),
            label: self.labels.as_ref().map(|labels| labels[index].into()),
        }
    }
}

fn read_labels(path: &Path, count: usize, classes: usize) -> Result<Vec<u8>, DatasetError> {
    let ([found], labels) = parse::<1>(path, read(path)?, LABELS_MAGIC)?;
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
