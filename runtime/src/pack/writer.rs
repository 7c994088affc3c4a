//! Writing packs: the same layout as the reader's, atomically.

use super::classes::Classes;
use super::error::{Defect, SectionName};
use super::header::{ENTRY_SIZE, Entry, HEADER_SIZE, Header};
use super::kind::{DType, TensorKind};
use super::layout::{Layout, SectionKind};
use super::{Pack, reader};
use crate::aligned::{ALIGN, AlignedBytes};
use crate::config::{
    ActivationQuantization, Cascade, ConfigError, Metadata, ModelConfig, Provenance, Schedule,
};
use crate::output_file::{OutputError, OutputFile};
use std::borrow::Cow;
use std::path::Path;
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

/// Why a pack was not written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The configuration is impossible.
    #[error("pack to write: {0}")]
    Config(#[from] ConfigError),
    /// A tensor that the model does not have: wrong element type, or wrong layer.
    #[error("tensor {tensor}: the model has no such {dtype:?} tensor")]
    Unknown {
        /// Which tensor.
        tensor: SectionName,
        /// The element type given.
        dtype: DType,
    },
    /// A tensor of another shape than the configuration says.
    #[error("tensor {tensor}: shape {found:?} with {elements} elements, expected {expected:?}")]
    Shape {
        /// Which tensor.
        tensor: SectionName,
        /// (rows, columns) given.
        found: (usize, usize),
        /// Elements given.
        elements: usize,
        /// (rows, columns) that the configuration gives.
        expected: (usize, usize),
    },
    /// A tensor that was given before.
    #[error("tensor {tensor}: given twice")]
    Duplicate {
        /// Which tensor.
        tensor: SectionName,
    },
    /// A tensor that was never given.
    #[error("tensor {tensor}: missing")]
    Missing {
        /// Which tensor.
        tensor: SectionName,
    },
    /// The values are not what a pack may hold.
    #[error("pack to write: {0}")]
    Defect(#[source] Defect),
    /// The file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

#[derive(Clone, Debug)]
enum Data<'a> {
    I8(Cow<'a, [i8]>),
    F32(Cow<'a, [f32]>),
}

impl Data<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::I8(data) => bytemuck::cast_slice(data),
            Self::F32(data) => bytemuck::cast_slice(data),
        }
    }
}

/// Collects the parts of a pack and writes it.
#[derive(Clone, Debug)]
pub struct PackWriter<'a> {
    metadata: Metadata,
    layout: Layout,
    /// One place a tensor, in file order.
    tensors: Vec<Option<Data<'a>>>,
}

impl<'a> PackWriter<'a> {
    /// A pack without tensors yet.
    ///
    /// # Errors
    /// A configuration or schedule that is impossible.
    pub fn new(
        config: ModelConfig,
        schedules: Vec<Schedule>,
        provenance: Provenance,
    ) -> Result<Self, ConfigError> {
        let metadata = Metadata {
            model: config,
            schedules,
            cascades: Vec::new(),
            provenance,
            quantization: Vec::new(),
        };
        metadata.validate()?;
        let layout = Layout::new(&metadata.model);
        let tensors = vec![None; layout.sections() - 1];
        Ok(Self {
            metadata,
            layout,
            tensors,
        })
    }

    /// The same pack again, its tensors borrowed; for another set of schedules, say.
    pub fn from_pack(pack: &'a Pack) -> Self {
        let data = |(kind, layer)| match pack.tensor_i8(kind, layer) {
            Some(data) => Some(Data::I8(data.into())),
            None => pack
                .tensor_f32(kind, layer)
                .map(|data| Data::F32(data.into())),
        };
        Self {
            metadata: pack.contents.metadata.clone(),
            layout: pack.layout().clone(),
            tensors: pack.layout().tensors().map(data).collect(),
        }
    }

    /// Replaces the schedules; checked when the pack is written.
    #[must_use]
    pub fn with_schedules(mut self, schedules: Vec<Schedule>) -> Self {
        self.metadata.schedules = schedules;
        self
    }

    /// Replaces the cascades; checked when the pack is written.
    #[must_use]
    pub fn with_cascades(mut self, cascades: Vec<Cascade>) -> Self {
        self.metadata.cascades = cascades;
        self
    }

    /// Replaces the informative list of activation scales; checked when the pack is written.
    #[must_use]
    pub fn with_quantization(mut self, quantization: Vec<ActivationQuantization>) -> Self {
        self.metadata.quantization = quantization;
        self
    }

    /// Replaces where the pack came from; checked when the pack is written.
    #[must_use]
    pub fn with_provenance(mut self, provenance: Provenance) -> Self {
        self.metadata.provenance = provenance;
        self
    }

    /// Classifies embeddings by these classes, in the place of those and the labels that the pack had; checked when the
    /// pack is written. What was measured of other classes stays with the schedules: see
    /// [`with_schedules`](Self::with_schedules).
    ///
    /// # Errors
    /// [`WriteError::Shape`] unless there is a row for each label.
    pub fn with_classes(mut self, classes: Classes) -> Result<Self, WriteError> {
        let model = &mut self.metadata.model;
        let columns = model.classes;
        let rows = classes.labels.len();
        model.classifier = Some(classes.kind);
        model.unknown = classes.unknown.is_some();
        model.score_kind = classes.scores;
        model.labels.clone_from(&classes.labels);
        // The last sections: those before them stay where they are.
        let kept = self.layout.tensors();
        let kept = kept.filter(|(kind, _)| !kind.is_classifier()).count();
        self.layout = Layout::new(model);
        self.tensors.truncate(kept);
        self.tensors.resize(self.layout.sections() - 1, None);
        for (kind, data) in classes.into_tensors(columns) {
            let shape = match kind {
                TensorKind::ClassBias | TensorKind::ClassThreshold => (1, rows),
                _ => (rows, columns),
            };
            self.tensor_f32(kind, None, shape.0, shape.1, data)?;
        }
        Ok(self)
    }

    /// Adds an i8 tensor, row-major, each element from -127 to 127.
    ///
    /// # Errors
    /// [`WriteError`] unless the model has such a tensor of this shape and it was not given before.
    pub fn tensor_i8(
        &mut self,
        kind: TensorKind,
        layer: Option<usize>,
        rows: usize,
        columns: usize,
        data: impl Into<Cow<'a, [i8]>>,
    ) -> Result<(), WriteError> {
        let data = data.into();
        let elements = data.len();
        self.put(kind, layer, (rows, columns), elements, Data::I8(data))
    }

    /// Adds an f32 tensor, row-major, finite. A vector has one row.
    ///
    /// # Errors
    /// [`WriteError`] unless the model has such a tensor of this shape and it was not given before.
    pub fn tensor_f32(
        &mut self,
        kind: TensorKind,
        layer: Option<usize>,
        rows: usize,
        columns: usize,
        data: impl Into<Cow<'a, [f32]>>,
    ) -> Result<(), WriteError> {
        let data = data.into();
        let elements = data.len();
        self.put(kind, layer, (rows, columns), elements, Data::F32(data))
    }

    fn put(
        &mut self,
        kind: TensorKind,
        layer: Option<usize>,
        found: (usize, usize),
        elements: usize,
        data: Data<'a>,
    ) -> Result<(), WriteError> {
        let tensor = SectionName {
            kind: SectionKind::Tensor(kind),
            layer,
        };
        let dtype = match data {
            Data::I8(_) => DType::I8,
            Data::F32(_) => DType::F32,
        };
        let index = self.layout.index(kind, layer);
        let Some(index) = index.filter(|_| dtype == kind.dtype()) else {
            return Err(WriteError::Unknown { tensor, dtype });
        };
        let expected = kind.shape(&self.metadata.model);
        if found != expected || elements != expected.0 * expected.1 {
            return Err(WriteError::Shape {
                tensor,
                found,
                elements,
                expected,
            });
        }
        let place = &mut self.tensors[index - 1];
        if place.is_some() {
            return Err(WriteError::Duplicate { tensor });
        }
        *place = Some(data);
        Ok(())
    }

    /// The pack as bytes, 64-byte aligned and validated as a reader would.
    ///
    /// # Errors
    /// [`WriteError`] for a missing tensor or a value that a pack may not hold.
    pub fn to_bytes(&self) -> Result<AlignedBytes, WriteError> {
        let (text, entries, length) = self.layout()?;
        let mut bytes = AlignedBytes::zeroed(length);
        let table: Vec<u8> = entries.iter().flat_map(Entry::emit).collect();
        let mut header = Header::new(entries.len(), length as u64);
        header.checksum = Header::checksum(&header.emit(), &table);
        bytes[..HEADER_SIZE].copy_from_slice(&header.emit());
        bytes[HEADER_SIZE..][..table.len()].copy_from_slice(&table);
        let parts = std::iter::once(text.as_slice()).chain(self.parts());
        for (entry, part) in entries.iter().zip(parts) {
            bytes[entry.offset as usize..][..part.len()].copy_from_slice(part);
        }
        reader::read(&bytes).map_err(WriteError::Defect)?;
        Ok(bytes)
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.tensors.iter().flatten().map(Data::bytes)
    }

    /// The metadata's text, the section table and the file's length.
    fn layout(&self) -> Result<(Vec<u8>, Vec<Entry>, usize), WriteError> {
        self.metadata.validate()?;
        let model = &self.metadata.model;
        let text = serde_json::to_vec(&self.metadata)
            .map_err(|error| WriteError::Defect(Defect::Json(error)))?;
        let metadata = Entry {
            checksum: xxh3_64(&text),
            ..Entry::new(SectionKind::Metadata, None, (1, text.len()))
        };
        let mut entries = vec![metadata];
        for ((kind, layer), data) in self.layout.tensors().zip(&self.tensors) {
            let kind_of_section = SectionKind::Tensor(kind);
            let Some(data) = data else {
                return Err(WriteError::Missing {
                    tensor: SectionName {
                        kind: kind_of_section,
                        layer,
                    },
                });
            };
            entries.push(Entry {
                checksum: xxh3_64(data.bytes()),
                ..Entry::new(kind_of_section, layer, kind.shape(model))
            });
        }
        let mut end = HEADER_SIZE + entries.len() * ENTRY_SIZE;
        for entry in &mut entries {
            let start = end.next_multiple_of(ALIGN);
            entry.offset = start as u64;
            end = start + entry.length as usize;
        }
        Ok((text, entries, end))
    }

    /// Writes the pack, so that `path` holds either what it held before or the whole new pack, whatever fails.
    /// What is not a regular file is written through; see [`output_file`](crate::output_file).
    ///
    /// # Errors
    /// [`WriteError`]; nothing is left behind.
    pub fn finish(&self, path: &Path) -> Result<(), WriteError> {
        let output = OutputFile::new(path)?;
        let bytes = self.to_bytes()?;
        Ok(output.write(&bytes)?)
    }
}
