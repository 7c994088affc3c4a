//! Fields of a JSON file, with errors that name file and field.

use super::error::Defect;
use serde_json::Value;

/// A JSON file that holds one object.
pub(super) struct Document {
    file: &'static str,
    value: Value,
}

impl Document {
    /// Parses `text`. An absent file counts as an object without fields.
    ///
    /// # Errors
    /// [`Defect::Config`] if the text is anything but a JSON object.
    pub(super) fn parse(file: &'static str, text: Option<&[u8]>) -> Result<Self, Defect> {
        let wrong = |found: String| Defect::Config {
            file,
            field: "(whole file)".into(),
            found,
            expected: "a JSON object".into(),
        };
        let value = match text.map(serde_json::from_slice::<Value>) {
            None => Value::Object(serde_json::Map::new()),
            Some(Ok(value)) if value.is_object() => value,
            Some(Ok(_)) => return Err(wrong("another JSON value".into())),
            Some(Err(error)) => return Err(wrong(error.to_string())),
        };
        Ok(Self { file, value })
    }

    /// A table that the program carries.
    pub(super) fn of(file: &'static str, value: &Value) -> Self {
        Self {
            file,
            value: value.clone(),
        }
    }

    /// The file's object.
    pub(super) fn root(&self) -> Object<'_> {
        Object {
            file: self.file,
            path: "",
            value: &self.value,
        }
    }
}

/// A JSON object and the name of the file it came from.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    file: &'static str,
    /// What precedes a field's name in errors, e.g. `pretrained_cfg.`.
    path: &'static str,
    value: &'a Value,
}

impl<'a> Object<'a> {
    /// Whether it has no fields, as that of an absent file.
    pub(super) fn is_empty(&self) -> bool {
        self.value.as_object().is_none_or(serde_json::Map::is_empty)
    }

    /// The whole object.
    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// The error for a field that holds `found`.
    pub(super) fn wrong(
        &self,
        field: &str,
        found: &dyn ToString,
        expected: impl Into<String>,
    ) -> Defect {
        Defect::Config {
            file: self.file,
            field: format!("{}{field}", self.path),
            found: found.to_string(),
            expected: expected.into(),
        }
    }

    /// The value of a field; none if it is absent or null.
    pub(super) fn get(&self, field: &str) -> Option<&'a Value> {
        self.value.get(field).filter(|value| !value.is_null())
    }

    /// A whole number up to 2^20.
    pub(super) fn size(&self, field: &str) -> Result<Option<usize>, Defect> {
        let whole = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        match whole(value) {
            Some(n) if n <= 1 << 20 => Ok(Some(n)),
            _ => Err(self.wrong(field, value, "a whole number")),
        }
    }

    /// A whole number up to 2^20, or two that are the same: the side of a square.
    pub(super) fn side(&self, field: &str) -> Result<Option<usize>, Defect> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        let side = match value.as_array().map(Vec::as_slice) {
            None => return self.size(field),
            Some([height, width]) if height == width => height.as_u64(),
            Some(_) => None,
        };
        match side.and_then(|n| usize::try_from(n).ok()) {
            Some(n) if n <= 1 << 20 => Ok(Some(n)),
            _ => Err(self.wrong(field, value, "one side, or two of the same length")),
        }
    }

    /// A finite number above 0.
    pub(super) fn number(&self, field: &str) -> Result<Option<f64>, Defect> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        match value.as_f64().filter(|x| x.is_finite() && *x > 0.0) {
            Some(x) => Ok(Some(x)),
            None => Err(self.wrong(field, value, "a number above 0")),
        }
    }

    /// A string.
    pub(super) fn text(&self, field: &str) -> Result<Option<&'a str>, Defect> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        value
            .as_str()
            .map(Some)
            .ok_or_else(|| self.wrong(field, value, "text"))
    }

    /// Three numbers, one for each colour.
    pub(super) fn colours(&self, field: &str) -> Result<Option<[f32; 3]>, Defect> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        let three = || {
            let list = value.as_array().filter(|list| list.len() == 3)?;
            let mut colours = [0.0; 3];
            for (colour, x) in colours.iter_mut().zip(list) {
                *colour = x.as_f64().filter(|x| (-1e3..=1e3).contains(x))? as f32;
            }
            Some(colours)
        };
        three()
            .map(Some)
            .ok_or_else(|| self.wrong(field, value, "three numbers"))
    }

    /// A truth value.
    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, Defect> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        value
            .as_bool()
            .map(Some)
            .ok_or_else(|| self.wrong(field, value, "true or false"))
    }

    /// An object inside this one; without fields if it is absent.
    pub(super) fn inner(&self, field: &str, path: &'static str) -> Result<Object<'a>, Defect> {
        let value = self.get(field).unwrap_or(&Value::Null);
        if !value.is_null() && !value.is_object() {
            return Err(self.wrong(field, value, "an object"));
        }
        Ok(Object {
            path,
            value,
            ..*self
        })
    }

    /// Fails if the field is present and holds another number than `expected`.
    pub(super) fn agrees(&self, field: &str, expected: usize) -> Result<(), Defect> {
        match self.size(field)? {
            Some(n) if n != expected => {
                Err(self.wrong(field, &n, format!("{expected}, as the tensors' shapes say")))
            }
            _ => Ok(()),
        }
    }
}
