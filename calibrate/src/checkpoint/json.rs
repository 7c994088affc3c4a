//! Fields of a JSON file, with errors that name file and field.

use super::error::Defect;
use serde_json::Value;

/// A JSON object with the name of the file it came from.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    pub(super) file: &'static str,
    /// Before every field's name in errors: `pretrained_cfg.`.
    pub(super) path: &'static str,
    pub(super) value: &'a Value,
}

impl<'a> Object<'a> {
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

    pub(super) fn get(&self, field: &str) -> Option<&'a Value> {
        self.value.get(field).filter(|value| !value.is_null())
    }

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

    pub(super) fn number(&self, field: &str) -> Result<Option<f64>, Defect> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        match value.as_f64().filter(|x| x.is_finite() && *x > 0.0) {
            Some(x) => Ok(Some(x)),
            None => Err(self.wrong(field, value, "a number above 0")),
        }
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<&'a str>, Defect> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        value
            .as_str()
            .map(Some)
            .ok_or_else(|| self.wrong(field, value, "text"))
    }

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

    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, Defect> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        value
            .as_bool()
            .map(Some)
            .ok_or_else(|| self.wrong(field, value, "true or false"))
    }

    /// An object inside of this one; without fields if it is not there.
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

    /// Fails if the field is there and is not `expected`.
    pub(super) fn agrees(&self, field: &str, expected: usize) -> Result<(), Defect> {
        match self.size(field)? {
            Some(n) if n != expected => Err(self.wrong(
                field,
                &n,
                format!("{expected}, which the tensors' shapes say"),
            )),
            _ => Ok(()),
        }
    }
}

pub(super) fn parse(file: &'static str, text: &[u8]) -> Result<Value, Defect> {
    let wrong = |found: String| Defect::Config {
        file,
        field: "(whole file)".into(),
        found,
        expected: "a JSON object".into(),
    };
    match serde_json::from_slice::<Value>(text) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err(wrong("another JSON value".into())),
        Err(error) => Err(wrong(error.to_string())),
    }
}
