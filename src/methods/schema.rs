//! The methods and events described for people and for programs.

use std::fmt::Write as _;

use chat_core::machine::Event;
use schemars::JsonSchema as _;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::list::{Call, Method};

/// A description of all methods and events, as JSON.
///
/// `methods` has for each method its `description`, its `kind` and the JSON Schemas (draft 2020-12) of
/// its `params` and its `result`; `event` is the schema of an event; `$defs` has what these refer to.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let calls = Call::json_schema(&mut generator).to_value();
    let mut methods = Map::new();
    for method in Method::ALL {
        let name = method.to_string();
        let of_method = |call: &&Value| call["properties"]["method"]["const"] == name.as_str();
        let call = calls["oneOf"].as_array().into_iter().flatten().find(of_method);
        let call = call.unwrap_or(&Value::Null);
        let described = json!({
            "description": call["description"],
            "kind": method.kind(),
            "params": call["properties"]["params"],
            "result": method.answer_schema(&mut generator),
        });
        methods.insert(name, described);
    }
    let event = Event::json_schema(&mut generator);
    json!({"methods": methods, "event": event, "$defs": generator.take_definitions(true)})
}

/// The methods for people: a paragraph for each, with its parameters.
pub fn help() -> String {
    let schema = schema();
    let mut text = String::new();
    for method in Method::ALL {
        let described = &schema["methods"][method.to_string()];
        let required = described["params"]["required"].as_array();
        let required: Vec<_> = required.into_iter().flatten().filter_map(Value::as_str).collect();
        let all = described["params"]["properties"].as_object().into_iter().flatten();
        let optional = all.map(|(name, _)| name).filter(|name| !required.contains(&name.as_str()));
        let params: Vec<_> = (required.iter().map(|&name| name.to_owned()))
            .chain(optional.map(|name| format!("[{name}]")))
            .collect();
        let about = described["description"].as_str().unwrap_or_default().replace('\n', " ");
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", format!("  {method}  {}", params.join(", ")).trim_end());
        let _ = writeln!(text, "      {about}");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_described() {
        let schema = schema();
        for method in Method::ALL {
            let described = &schema["methods"][method.to_string()];
            assert!(!described["description"].as_str().unwrap().is_empty(), "{method}");
            assert_eq!(described["params"]["type"], "object", "{method}");
            assert!(described["result"].is_object(), "{method}");
        }
        let history = &schema["methods"]["history"];
        assert_eq!(history["params"]["required"], json!(["group"]));
        assert_eq!(history["result"]["items"]["$ref"], "#/$defs/MessageView");
        assert!(schema["$defs"]["MessageView"]["properties"]["transferred_by"].is_object());
        assert!(schema["$defs"]["ContactView"]["properties"]["pending"].is_object());
    }

    #[test]
    fn the_help_marks_what_may_be_left_out() {
        let help = help();
        assert!(help.contains("  history  group, [before], [limit]\n"), "{help}");
        assert_eq!(help.lines().count(), 2 * Method::ALL.len());
    }
}
