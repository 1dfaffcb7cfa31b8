//! Reading members of an object as leniently as libwaku does.

use serde_json::{Map, Value};

/// Largest JSON that is read from a host, in bytes: a message of the largest size that the network
/// carries, as base64, with room to spare; or a query with all topics that a Store answers.
pub const MAX_JSON: usize = 4 * 1024 * 1024;

/// A text is not a JSON object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The text is longer than [`MAX_JSON`].
    #[error("the JSON has {0} bytes, more than {MAX_JSON}")]
    TooLarge(usize),
    /// The text is JSON, but not an object.
    #[error("the JSON is not an object")]
    NotAnObject,
    /// The text is not JSON.
    #[error("not JSON: {0}")]
    Syntax(serde_json::Error),
}

/// Reads an object.
///
/// # Errors
/// See [`ObjectError`]. None of them quotes a value, which may be secret.
pub fn object(text: &str) -> Result<Map<String, Value>, ObjectError> {
    if text.len() > MAX_JSON {
        return Err(ObjectError::TooLarge(text.len()));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ObjectError::NotAnObject),
        Err(e) => Err(ObjectError::Syntax(e)),
    }
}

/// Takes a string out of an object; the empty one if it is not there.
pub(crate) fn string(object: &mut Map<String, Value>, key: &str) -> Result<String, String> {
    match object.remove(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(s)) => Ok(s),
        Some(_) => Err(format!("{key} must be a string")),
    }
}

pub(crate) fn flag(object: &Map<String, Value>, key: &str) -> Result<bool, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(b)) => Ok(*b),
        Some(_) => Err(format!("{key} must be true or false")),
    }
}

/// A whole number, as a number or in a string, as libwaku takes them both.
pub(crate) fn number(object: &Map<String, Value>, key: &str) -> Result<Option<i64>, String> {
    let parsed = match object.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(s)) => s.parse().ok(),
        Some(value) => value.as_i64(),
    };
    // The words are libwaku's.
    parsed.map(Some).ok_or_else(|| format!("Invalid int64 value in `{key}`"))
}

pub(crate) fn strings(object: &mut Map<String, Value>, key: &str) -> Result<Vec<String>, String> {
    let bad = || format!("{key} must be a list of strings");
    match object.remove(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list
            .into_iter()
            .map(|value| match value {
                Value::String(s) => Ok(s),
                _ => Err(bad()),
            })
            .collect(),
        Some(_) => Err(bad()),
    }
}
