//! What the calls in a pickle of tensors mean. Nothing is called.

use super::global::{Global, Rebuild};
use super::object::{Heap, Id, Object, Storage, Tensor};

/// The most dimensions of a tensor in PyTorch.
const MAX_DIMENSIONS: usize = 64;

/// The result of a call.
pub(super) enum Made<'a> {
    /// An object that there is already.
    Known(Id),
    /// Another.
    New(Object<'a>),
}

/// The storage of a persistent id: ('storage', class, key, location, number of elements).
///
/// # Errors
/// What is wrong.
pub(super) fn persistent<'a>(heap: &Heap<'a>, id: Id) -> Result<Storage<'a>, &'static str> {
    let wrong = "it names a storage in an unknown way";
    let Object::Tuple(parts) = heap.get(id) else {
        return Err(wrong);
    };
    let &[kind, class, key, _location, count] = &parts[..] else {
        return Err(wrong);
    };
    let (Some("storage"), Some(key)) = (heap.text(kind), heap.text(key)) else {
        return Err(wrong);
    };
    let Object::Global(Global::Storage(element)) = *heap.get(class) else {
        return Err(wrong);
    };
    let count = heap.size(count).ok_or("a storage's size is no number")?;
    Ok(Storage {
        key,
        element,
        count,
    })
}

/// The object that a class makes without being given anything that matters.
///
/// # Errors
/// What is wrong.
pub(super) fn construct<'a>(heap: &Heap<'a>, class: Id) -> Result<Object<'a>, &'static str> {
    match heap.get(class) {
        Object::Global(Global::Dict) => Ok(Object::Dict(Vec::new())),
        Object::Global(Global::Opaque) => Ok(Object::Opaque),
        _ => Err("it makes an object of what is no class"),
    }
}

/// The object that a call stands for.
///
/// # Errors
/// What is wrong.
pub(super) fn reduce<'a>(
    heap: &Heap<'a>,
    callable: Id,
    args: Id,
) -> Result<Made<'a>, &'static str> {
    let (Object::Global(global), Object::Tuple(args)) = (heap.get(callable), heap.get(args)) else {
        return Err("it calls what is no function");
    };
    match global {
        Global::FromType => {
            let &[function, class, args, ..] = &args[..] else {
                return Err("a tensor's arguments are not those of PyTorch");
            };
            let (Object::Global(inner), Object::Global(Global::TensorClass), Object::Tuple(args)) =
                (heap.get(function), heap.get(class), heap.get(args))
            else {
                return Err("a tensor is of a class of its own");
            };
            call(heap, *inner, args)
        }
        global => call(heap, *global, args),
    }
}

fn call<'a>(heap: &Heap<'a>, global: Global, args: &[Id]) -> Result<Made<'a>, &'static str> {
    match global {
        Global::Dict => dict(heap, args).map(Made::New),
        Global::Size => match args {
            &[sizes] => Ok(Made::Known(sizes)),
            _ => Err("the arguments of torch.Size are not a tuple"),
        },
        Global::Rebuild(form) => {
            let tensor = tensor(heap, form, args);
            let tensor = tensor.ok_or("a tensor's arguments are not those of PyTorch")?;
            Ok(Made::New(Object::Tensor(Box::new(tensor))))
        }
        Global::Parameter => match args.first() {
            Some(&data) if matches!(heap.get(data), Object::Tensor(_)) => Ok(Made::Known(data)),
            _ => Err("a parameter is no tensor"),
        },
        Global::Opaque => Ok(Made::New(Object::Opaque)),
        Global::FromType | Global::TensorClass | Global::Storage(_) | Global::Element(_) => {
            Err("it calls what is no function")
        }
    }
}

/// A dictionary: of pairs, as Python 2 wrote `OrderedDict`, or empty.
fn dict<'a>(heap: &Heap<'a>, args: &[Id]) -> Result<Object<'a>, &'static str> {
    let Some(Object::List(items)) = args.first().map(|&first| heap.get(first)) else {
        return Ok(Object::Dict(Vec::new()));
    };
    let pair = |&item: &Id| match heap.get(item) {
        Object::Tuple(pair) | Object::List(pair) => match pair[..] {
            [key, value] => Some((key, value)),
            _ => None,
        },
        _ => None,
    };
    let pairs: Option<Vec<_>> = items.iter().map(pair).collect();
    pairs
        .map(Object::Dict)
        .ok_or("a dictionary is not made of pairs")
}

/// A tensor: (storage, offset, shape, strides, ...).
fn tensor<'a>(heap: &Heap<'a>, form: Rebuild, args: &[Id]) -> Option<Tensor<'a>> {
    let [storage, offset, shape, strides, rest @ ..] = args else {
        return None;
    };
    let Object::Storage(storage) = *heap.get(*storage) else {
        return None;
    };
    let element = match form {
        Rebuild::ByStorage => storage.element?,
        Rebuild::ByArgument => match *heap.get(*rest.get(2)?) {
            Object::Global(Global::Element(element)) => element,
            _ => return None,
        },
    };
    let (shape, strides) = (heap.sizes(*shape)?, heap.sizes(*strides)?);
    (shape.len() <= MAX_DIMENSIONS && strides.len() <= MAX_DIMENSIONS).then_some(Tensor {
        storage,
        element,
        offset: heap.size(*offset)?,
        shape,
        strides,
    })
}
