//! The `.mvit` pack: one file with everything that a model needs, used where it lies.
//!
//! `FORMAT.md` specifies the format. [`Pack::open`] maps a file and validates all of it, once; after that,
//! access to its tensors cannot fail. [`PackWriter`] writes one, atomically.

mod choice;
mod classes;
mod error;
mod foreign;
mod header;
mod kind;
mod layout;
mod map;
mod origin;
mod parts;
mod reader;
mod reseal;
mod sigbus;
mod values;
mod writer;

pub use choice::Choice;
pub use classes::{Classes, Unknown};
pub use error::{Defect, PackError, SectionName, UnknownSchedule, UnknownSection};
pub use header::VERSION;
pub use kind::{DType, TensorKind};
pub(crate) use layout::Layout;
pub use layout::SectionKind;
pub use origin::PackChanged;
pub use parts::{Linear, LinearTensors, Norm, NormTensors};
pub use reader::Section;
pub(crate) use reseal::reseal;
pub use sigbus::explain_bus_errors;
pub use writer::{PackWriter, WriteError};

use crate::aligned::AlignedBytes;
use crate::config::{ActivationQuantization, Cascade, Metadata, ModelConfig, Provenance, Schedule};
use mergevit_kernels::math::{ACTIVATION_TERMS, Activation};
use mergevit_kernels::ops::Steps;
use origin::Origin;
use std::path::{Path, PathBuf};

/// A valid pack.
#[derive(Debug)]
pub struct Pack {
    path: Option<PathBuf>,
    bytes: map::Bytes,
    contents: reader::Contents,
}

/// Checks bytes as [`Pack::open`] does. They must start at a 64-byte boundary.
///
/// # Errors
/// The first defect found.
pub fn validate(bytes: &[u8]) -> Result<(), Defect> {
    read_metadata(bytes).map(drop)
}

/// Checks bytes and returns their metadata.
pub(crate) fn read_metadata(bytes: &[u8]) -> Result<Metadata, Defect> {
    reader::read(bytes).map(|contents| contents.metadata)
}

/// Embeds the pack at a path, as `include_bytes!` does, aligned as [`Pack::from_static`] needs it.
#[macro_export]
macro_rules! include_pack {
    ($path:expr $(,)?) => {{
        #[repr(C, align(64))]
        struct Aligned<T: ?Sized>(T);
        static PACK: &Aligned<[u8]> = &Aligned(*include_bytes!($path));
        &PACK.0
    }};
}

impl Pack {
    /// Maps a file and validates all of it: structure, checksums, values.
    ///
    /// # How to replace a pack
    ///
    /// Rename a new file over it, as [`PackWriter::finish`] does. What is mapped stays intact, and is used to the
    /// end; whoever opens the path then gets the new pack.
    ///
    /// ```sh
    /// cp new.mvit /srv/model.mvit.tmp && mv /srv/model.mvit.tmp /srv/model.mvit     # same file system: a rename
    /// ```
    ///
    /// Never write into a pack that is in use, as `cp new.mvit model.mvit` does. The engine on the processor reads
    /// weights, scales and biases from the map in every frame (a device has its own copy of all but the GELUs' scales;
    /// configuration, labels and row sums are copies everywhere), so it would go on with a mixture of two models.
    /// [`check`](Self::check) notices such a change. If the file shrinks, the process ends with `SIGBUS`;
    /// [`explain_bus_errors`] says why.
    ///
    /// # Errors
    /// [`PackError`], naming the file, the section or field, and what was expected;
    /// [`Defect::Changed`] if the file was written to meanwhile.
    pub fn open(path: &Path) -> Result<Self, PackError> {
        let error = |defect| PackError {
            path: Some(path.into()),
            defect,
        };
        let mut pack = map::map(path).and_then(Self::from_bytes).map_err(error)?;
        pack.path = Some(path.into());
        Ok(pack)
    }

    /// A pack embedded in the program; see [`include_pack!`](crate::include_pack).
    ///
    /// # Errors
    /// As [`open`](Self::open); also [`Defect::Alignment`] unless the bytes start at a 64-byte boundary.
    pub fn from_static(bytes: &'static [u8]) -> Result<Self, PackError> {
        Self::from_bytes(map::Bytes::Static(bytes))
            .map_err(|defect| PackError { path: None, defect })
    }

    /// A pack that is in no file, as [`PackWriter::to_bytes`] makes it: to measure it before it is written, say.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_memory(bytes: AlignedBytes) -> Result<Self, PackError> {
        Self::from_bytes(map::Bytes::Memory(bytes))
            .map_err(|defect| PackError { path: None, defect })
    }

    fn from_bytes(bytes: map::Bytes) -> Result<Self, Defect> {
        let contents = reader::read(&bytes);
        // What was read of a file that changed meanwhile means nothing, be it a pack or a defect.
        bytes.check().map_err(Defect::Changed)?;
        Ok(Self {
            path: None,
            contents: contents?,
            bytes,
        })
    }

    /// The file, as it was given to [`open`](Self::open); `None` for a pack in memory.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Fails if the file was written to since it was opened: its size, its time of modification or its header is
    /// another. Allocates nothing, and takes two system calls, about a microsecond; call it between an answer and its use.
    ///
    /// What it misses: a write so soon after the last one before the pack was opened that the file system gives both
    /// the same time (some milliseconds), and a write through a shared map, whose time some file systems set late or
    /// never. Even of these it notices another pack from its header, but not single weights. A file that was renamed
    /// over, removed or given other permissions has not changed.
    ///
    /// # Errors
    /// [`PackChanged`].
    pub fn check(&self) -> Result<(), PackChanged> {
        self.bytes.check()
    }

    /// Whether another file was renamed over this one, or this one was removed. The pack stays what it was; to
    /// use the new one, open it. Allocates nothing.
    pub fn is_replaced(&self) -> bool {
        self.bytes.origin().is_some_and(Origin::is_replaced)
    }

    /// [`check`](Self::check), as an error that names the file.
    pub(crate) fn check_named(&self) -> Result<(), PackError> {
        self.check().map_err(|changed| PackError {
            path: self.path.clone(),
            defect: Defect::Changed(changed),
        })
    }

    /// Architecture, labels, preprocessing.
    pub fn config(&self) -> &ModelConfig {
        &self.contents.metadata.model
    }

    /// At least one, with unique names.
    pub fn schedules(&self) -> &[Schedule] {
        &self.contents.metadata.schedules
    }

    /// The cascades of its schedules.
    pub fn cascades(&self) -> &[Cascade] {
        &self.contents.metadata.cascades
    }

    /// The place in [`schedules`](Self::schedules) of the one of this name.
    ///
    /// # Errors
    /// [`UnknownSchedule`] with the names there are.
    pub fn schedule_index(&self, name: &str) -> Result<usize, UnknownSchedule> {
        let schedules = self.schedules();
        let found = schedules.iter().position(|schedule| schedule.name == name);
        found.ok_or_else(|| UnknownSchedule {
            name: name.into(),
            known: schedules.iter().map(|s| s.name.clone()).collect(),
        })
    }

    /// Where the pack came from.
    pub fn provenance(&self) -> &Provenance {
        &self.contents.metadata.provenance
    }

    /// Quantization of the activations, for people.
    pub fn quantization(&self) -> &[ActivationQuantization] {
        &self.contents.metadata.quantization
    }

    /// Bytes of the file.
    #[expect(clippy::len_without_is_empty, reason = "a pack is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// XXH3-64 of the whole file, with the hash's name: `xxh3-64:0123456789abcdef`, what `xxhsum -H3` prints. Reads
    /// all of it.
    pub fn hash(&self) -> String {
        format!("xxh3-64:{:016x}", xxhash_rust::xxh3::xxh3_64(&self.bytes))
    }

    /// Every section, in file order.
    pub fn sections(&self) -> impl ExactSizeIterator<Item = &Section> {
        self.contents.sections.iter()
    }

    /// Which tensors there are, and where.
    pub(crate) fn layout(&self) -> &Layout {
        &self.contents.layout
    }

    fn tensor(&self, kind: TensorKind, layer: Option<usize>, dtype: DType) -> Option<&[u8]> {
        let section = &self.contents.sections[self.layout().index(kind, layer)?];
        (section.dtype == dtype).then(|| &self.bytes[section.range()])
    }

    /// An i8 tensor, row-major, in place. `None` if `kind` is no i8 tensor of this model or `layer` does not fit it.
    pub fn tensor_i8(&self, kind: TensorKind, layer: Option<usize>) -> Option<&[i8]> {
        self.tensor(kind, layer, DType::I8)
            .map(bytemuck::cast_slice)
    }

    /// An f32 tensor, row-major, in place. `None` if `kind` is no f32 tensor of this model or `layer` does not fit it.
    pub fn tensor_f32(&self, kind: TensorKind, layer: Option<usize>) -> Option<&[f32]> {
        self.tensor(kind, layer, DType::F32)
            .map(bytemuck::cast_slice)
    }

    /// The activation of the MLPs.
    pub fn activation(&self) -> Activation {
        let values = self
            .tensor_f32(TensorKind::Activation, None)
            .expect(PRESENT);
        let mut poly = [0.0; ACTIVATION_TERMS];
        poly.copy_from_slice(&values[2..]);
        Activation {
            limit: values[0],
            map: values[1],
            poly,
        }
    }

    /// How the outputs of the activation behind `linear`, which is one that has them, become integers.
    pub(crate) fn hidden_quantization(&self, linear: Linear, layer: Option<usize>) -> Steps<'_> {
        let kind = linear.hidden_quantization().expect(PRESENT);
        let values = self.tensor_f32(kind, layer).expect(PRESENT);
        let (inverse, zero_point) = values.split_at(values.len() / 2);
        Steps {
            inverse,
            zero_point,
        }
    }
}

/// The reader made sure of every tensor, and a plan names only those of its model.
pub(crate) const PRESENT: &str = "a valid pack has every tensor of its model";
