//! The names that a pickle of tensors may refer to. None is looked up or called: each only says what data means.

use super::error::PickleError;
use crate::checkpoint::files::element::Element;

/// The meaning of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint::files::pytorch) enum Global {
    /// A dictionary's class.
    Dict,
    /// `torch.Size`: a tuple.
    Size,
    /// A part of a storage.
    Rebuild(Rebuild),
    /// A tensor that is the first argument.
    Parameter,
    /// A tensor with attributes, made by a function and its arguments.
    FromType,
    /// A class of tensors, which such functions name.
    TensorClass,
    /// A storage's class; none where the tensors say what an element is.
    Storage(Option<Element>),
    /// A type of elements.
    Element(Element),
    /// The class or function of something that no weight depends on.
    Opaque,
}

/// The forms in which a tensor refers to its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint::files::pytorch) enum Rebuild {
    /// The storage says what an element is.
    ByStorage,
    /// The seventh argument says it.
    ByArgument,
}

/// Longest part of a refused name that errors show.
const MAX_SHOWN: usize = 120;

const OPAQUE: [(&str, &[&str]); 12] = [
    ("argparse", &["Namespace"]),
    ("_codecs", &["encode"]),
    ("numpy", &["dtype", "ndarray"]),
    ("numpy.core.multiarray", &["scalar", "_reconstruct"]),
    ("numpy._core.multiarray", &["scalar", "_reconstruct"]),
    (
        "pathlib",
        &[
            "Path",
            "PosixPath",
            "PurePosixPath",
            "WindowsPath",
            "PureWindowsPath",
        ],
    ),
    (
        "pathlib._local",
        &[
            "Path",
            "PosixPath",
            "PurePosixPath",
            "WindowsPath",
            "PureWindowsPath",
        ],
    ),
    ("torch", &["device"]),
    ("torch.torch_version", &["TorchVersion"]),
    ("builtins", PLAIN),
    ("__builtin__", PLAIN),
    ("collections", &["Counter"]),
];

/// Classes of plain data.
const PLAIN: &[&str] = &[
    "set",
    "frozenset",
    "bytearray",
    "complex",
    "int",
    "long",
    "float",
    "bool",
    "str",
    "list",
    "dict",
    "tuple",
];

impl Global {
    /// What a name means.
    ///
    /// # Errors
    /// [`PickleError::Global`] with the name if it is none that tensors need.
    pub(super) fn named(module: &str, name: &str) -> Result<Self, PickleError> {
        let known = match (module, name) {
            ("collections", "OrderedDict" | "defaultdict") => Some(Self::Dict),
            ("torch", "Size") => Some(Self::Size),
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => {
                Some(Self::Rebuild(Rebuild::ByStorage))
            }
            ("torch._utils", "_rebuild_tensor_v3") => Some(Self::Rebuild(Rebuild::ByArgument)),
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Some(Self::Parameter)
            }
            ("torch._tensor", "_rebuild_from_type_v2") => Some(Self::FromType),
            ("torch", "Tensor") | ("torch.nn.parameter", "Parameter" | "Buffer") => {
                Some(Self::TensorClass)
            }
            ("torch", name) => torch(name),
            ("torch.storage", "UntypedStorage") => Some(Self::Storage(None)),
            _ => None,
        };
        let is_opaque = || {
            OPAQUE
                .iter()
                .any(|(of, names)| *of == module && names.contains(&name))
        };
        match known {
            Some(global) => Ok(global),
            None if is_opaque() => Ok(Self::Opaque),
            None => Err(PickleError::Global(shown(module, name))),
        }
    }
}

/// The storages and element types of `torch`.
fn torch(name: &str) -> Option<Global> {
    let storage = name.strip_suffix("Storage").and_then(|kind| {
        Some(match kind {
            "Half" => Element::F16,
            "BFloat16" => Element::BF16,
            "Float" => Element::F32,
            "Double" => Element::F64,
            "Bool" => Element::Other("BOOL"),
            "Byte" => Element::Other("U8"),
            "Char" => Element::Other("I8"),
            "Short" => Element::Other("I16"),
            "Int" => Element::Other("I32"),
            "Long" => Element::Other("I64"),
            "ComplexFloat" => Element::Other("complex64"),
            "ComplexDouble" => Element::Other("complex128"),
            _ => return None,
        })
    });
    if let Some(element) = storage {
        return Some(Global::Storage(Some(element)));
    }
    let element = match name {
        "float16" => Element::F16,
        "bfloat16" => Element::BF16,
        "float32" => Element::F32,
        "float64" => Element::F64,
        "UntypedStorage" => return Some(Global::Storage(None)),
        "bool" => Element::Other("BOOL"),
        "uint8" => Element::Other("U8"),
        "int8" => Element::Other("I8"),
        "uint16" => Element::Other("U16"),
        "int16" => Element::Other("I16"),
        "uint32" => Element::Other("U32"),
        "int32" => Element::Other("I32"),
        "uint64" => Element::Other("U64"),
        "int64" => Element::Other("I64"),
        "complex32" => Element::Other("complex32"),
        "complex64" => Element::Other("complex64"),
        "complex128" => Element::Other("complex128"),
        "float8_e4m3fn" | "float8_e4m3fnuz" => Element::Other("F8_E4M3"),
        "float8_e5m2" | "float8_e5m2fnuz" => Element::Other("F8_E5M2"),
        "float8_e8m0fnu" => Element::Other("F8_E8M0"),
        _ => return None,
    };
    Some(Global::Element(element))
}

/// A name as errors show it: printable, and not endless.
fn shown(module: &str, name: &str) -> String {
    let full = format!("{module}.{name}");
    let mut shown: String = full
        .chars()
        .take(MAX_SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if full.chars().nth(MAX_SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}
