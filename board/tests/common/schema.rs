//! As much of JSON Schema as `records.schema.json` needs. A keyword that is not known here is a panic, so that the schema
//! cannot say more than is checked.

use serde_json::Value;

/// What `records.schema.json` says.
pub(crate) fn records() -> Value {
    serde_json::from_str(include_str!("../../records.schema.json")).expect("the schema is JSON")
}

/// The events of a program's lines, each of which is as the schema says.
#[track_caller]
pub(crate) fn events(lines: &[Value]) -> Vec<String> {
    let schema = records();
    let check = |line| {
        if let Err(error) = check(&schema, &schema, line) {
            panic!("{line}\n{error}");
        }
        line["event"].as_str().expect("an event").to_owned()
    };
    lines.iter().map(check).collect()
}

/// Holds a value to a schema, or says where it differs.
pub(crate) fn check(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let fields = schema.as_object().expect("a schema is an object");
    for (keyword, rule) in fields {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => {}
            "$ref" => check(root, target(root, rule), value)?,
            "anyOf" | "oneOf" => one_of(root, rule, value)?,
            "const" => demand(rule == value, rule, value)?,
            "enum" => demand(list(rule).contains(value), rule, value)?,
            "type" => demand(has_type(rule, value), rule, value)?,
            "minimum" => demand(value.as_f64() >= rule.as_f64(), rule, value)?,
            "items" => {
                for item in list(value) {
                    check(root, rule, item)?;
                }
            }
            "properties" => properties(root, rule, value)?,
            "required" => {
                for name in list(rule) {
                    let name = name.as_str().expect("a name");
                    demand(value.get(name).is_some(), rule, value)?;
                }
            }
            "additionalProperties" => others(root, schema, rule, value)?,
            _ => panic!("keyword {keyword} of the schema is not checked"),
        }
    }
    Ok(())
}

fn demand(holds: bool, rule: &Value, value: &Value) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(format!("expected {rule}, found {value}")),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn target<'a>(root: &'a Value, reference: &Value) -> &'a Value {
    let name = reference.as_str().and_then(|text| text.strip_prefix('#'));
    root.pointer(name.expect("a local reference"))
        .expect("it is defined")
}

fn one_of(root: &Value, schemas: &Value, value: &Value) -> Result<(), String> {
    let results = list(schemas)
        .iter()
        .map(|schema| check(root, schema, value));
    let failures: Vec<String> = results.filter_map(Result::err).collect();
    match list(schemas).len() - failures.len() {
        1 => Ok(()),
        matching => Err(format!(
            "{matching} alternatives fit {value}: {failures:#?}"
        )),
    }
}

fn has_type(name: &Value, value: &Value) -> bool {
    match name.as_str().expect("a type's name") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        name => panic!("unknown type {name}"),
    }
}

fn properties(root: &Value, rules: &Value, value: &Value) -> Result<(), String> {
    for (name, rule) in rules.as_object().expect("rules by name") {
        if let Some(value) = value.get(name) {
            check(root, rule, value).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(())
}

/// The properties that the schema does not name.
fn others(root: &Value, schema: &Value, rule: &Value, value: &Value) -> Result<(), String> {
    for (name, value) in value.as_object().into_iter().flatten() {
        if schema["properties"].get(name).is_some() {
            continue;
        }
        match rule {
            Value::Bool(false) => return Err(format!("{name} is not documented")),
            rule => check(root, rule, value).map_err(|error| format!("{name}: {error}"))?,
        }
    }
    Ok(())
}
