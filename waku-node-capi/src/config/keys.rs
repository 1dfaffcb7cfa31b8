//! Reading single members of a configuration as leniently as libwaku does.

use std::str::FromStr;

use serde_json::{Map, Value};

/// The members of a configuration. Errors name the key and never quote its value, because one of the
/// values is secret.
pub(super) struct Keys(Map<String, Value>);

impl Keys {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        libwaku_json::object(text).map(Self).map_err(|e| format!("configuration: {e}"))
    }

    /// Whether a key has a value that is neither an empty string nor an empty list.
    pub(super) fn is_filled(&self, key: &str) -> bool {
        self.text(key).is_some_and(|text| !matches!(text.as_str(), "" | "[]"))
    }

    /// A value as the text that a command line would have: to libwaku `1` and `"1"` are the same.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).map(plain)
    }

    pub(super) fn parse<T: FromStr>(&self, key: &str, kind: &str) -> Result<Option<T>, String> {
        self.text(key)
            .map(|text| text.parse().map_err(|_| format!("configuration: {key} must be {kind}")))
            .transpose()
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        match self.text(key).map(|t| t.to_ascii_lowercase()).as_deref() {
            None => Ok(default),
            Some("true" | "1" | "yes" | "y" | "on") => Ok(true),
            Some("false" | "0" | "no" | "n" | "off") => Ok(false),
            Some(_) => Err(format!("configuration: {key} must be true or false")),
        }
    }

    /// A list, or a string with a list in it, which libwaku takes too.
    pub(super) fn list<T: FromStr>(&self, key: &str, kind: &str) -> Result<Option<Vec<T>>, String> {
        let bad = || format!("configuration: {key} must be a list of {kind}");
        let list = match self.0.get(key) {
            None => return Ok(None),
            Some(Value::Array(list)) => list.clone(),
            Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| bad())?,
            Some(_) => return Err(bad()),
        };
        let parsed: Result<Vec<T>, _> = list.iter().map(|v| plain(v).parse()).collect();
        parsed.map(Some).map_err(|_| bad())
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}
