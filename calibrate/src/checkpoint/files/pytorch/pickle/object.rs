//! What a pickle builds: data only, nothing that runs.

use super::error::PickleError;
use super::global::Global;
use crate::checkpoint::files::element::Element;

/// The most objects, which take some 100 MB. A model of 1,000 tensors has some 30,000.
pub(super) const MAX_OBJECTS: usize = 1 << 21;
/// The most items of all objects together, which take as much.
const MAX_ITEMS: usize = 1 << 23;

/// An object's place in the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::checkpoint::files::pytorch) struct Id(u32);

/// An object.
#[derive(Clone, Debug)]
pub(in crate::checkpoint::files::pytorch) enum Object<'a> {
    /// A whole number.
    Int(i64),
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values in the order in which they were set.
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage<'a>),
    Tensor(Box<Tensor<'a>>),
    /// Anything else, of which only the kind is kept.
    Opaque,
}

/// Elements in a record of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint::files::pytorch) struct Storage<'a> {
    /// The record's name.
    pub(in crate::checkpoint::files::pytorch) key: &'a str,
    /// None where the tensors say it.
    pub(in crate::checkpoint::files::pytorch) element: Option<Element>,
    /// Elements, or bytes where the tensors say what an element is.
    pub(in crate::checkpoint::files::pytorch) count: usize,
}

/// A part of a storage. Nothing about it has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::checkpoint::files::pytorch) struct Tensor<'a> {
    pub(in crate::checkpoint::files::pytorch) storage: Storage<'a>,
    pub(in crate::checkpoint::files::pytorch) element: Element,
    /// In elements, like the strides.
    pub(in crate::checkpoint::files::pytorch) offset: usize,
    pub(in crate::checkpoint::files::pytorch) shape: Vec<usize>,
    pub(in crate::checkpoint::files::pytorch) strides: Vec<usize>,
}

/// All objects of a pickle. They refer to each other by [`Id`], in circles too if the pickle says so.
#[derive(Debug, Default)]
pub(in crate::checkpoint::files::pytorch) struct Heap<'a> {
    objects: Vec<Object<'a>>,
    /// Items of tuples, lists, dictionaries and shapes.
    items: usize,
}

impl<'a> Heap<'a> {
    /// Adds an object.
    ///
    /// # Errors
    /// [`PickleError::TooLarge`].
    pub(super) fn add(&mut self, object: Object<'a>) -> Result<Id, PickleError> {
        if self.objects.len() >= MAX_OBJECTS {
            return Err(PickleError::TooLarge);
        }
        let items = match &object {
            Object::Tuple(items) | Object::List(items) => items.len(),
            Object::Dict(items) => items.len(),
            Object::Tensor(tensor) => tensor.shape.len() + tensor.strides.len(),
            Object::Int(_)
            | Object::Text(_)
            | Object::Global(_)
            | Object::Storage(_)
            | Object::Opaque => 0,
        };
        self.charge(items)?;
        let id = Id(self.objects.len() as u32);
        self.objects.push(object);
        Ok(id)
    }

    /// Counts items that an object has or gets: the same few may be in many objects.
    ///
    /// # Errors
    /// [`PickleError::TooLarge`].
    pub(super) fn charge(&mut self, items: usize) -> Result<(), PickleError> {
        self.items = self.items.saturating_add(items);
        if self.items > MAX_ITEMS {
            return Err(PickleError::TooLarge);
        }
        Ok(())
    }

    pub(in crate::checkpoint::files::pytorch) fn get(&self, id: Id) -> &Object<'a> {
        &self.objects[id.0 as usize]
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Object<'a> {
        &mut self.objects[id.0 as usize]
    }

    pub(in crate::checkpoint::files::pytorch) fn text(&self, id: Id) -> Option<&'a str> {
        match self.get(id) {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number that can be a size.
    pub(super) fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Object::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    /// A tuple or list of numbers that can be sizes.
    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        match self.get(id) {
            Object::Tuple(items) | Object::List(items) => {
                items.iter().map(|&item| self.size(item)).collect()
            }
            _ => None,
        }
    }
}
