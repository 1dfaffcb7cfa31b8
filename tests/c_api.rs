//! The reference part of docs/C-API.md is what the code says.
//!
//! After a change of a method, an event or what they carry, `WAKU_CHAT_WRITE_DOCS=1 cargo test --test
//! c_api` writes it.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use waku_chat::methods::{Method, schema};

fn here(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The reference, by the name of its part.
fn reference() -> [(&'static str, String); 3] {
    let schema = schema();
    [
        ("events", variants(&schema["event"], "type", "event")),
        ("methods", methods(&schema)),
        ("types", types(&schema)),
    ]
}

fn methods(schema: &Value) -> String {
    let mut text = "| method | parameters | result | |\n|---|---|---|---|\n".to_owned();
    for method in Method::ALL {
        let described = &schema["methods"][method.to_string()];
        let result = match &described["result"] {
            result if result["type"] == "null" => String::new(),
            result => shape(result),
        };
        let parameters = members(&described["params"], |name, required, about| {
            let name = if required { format!("`{name}`") } else { format!("[`{name}`]") };
            match about {
                // The name already says it.
                about if about.to_lowercase().contains(&name_in_words(&name)) => name,
                about => format!("{name}: {}", uncapitalised(about)),
            }
        });
        let about = about(described);
        writeln!(text, "| `{method}` | {} | {result} | {about} |", parameters.join("; ")).unwrap();
    }
    text
}

/// "the group." for `group`: what a description says that only repeats the name.
fn name_in_words(name: &str) -> String {
    format!("the {}.", name.trim_matches(['`', '[', ']']).replace('_', " "))
}

fn types(schema: &Value) -> String {
    let mut text = String::new();
    for (name, described) in schema["$defs"].as_object().unwrap() {
        writeln!(text, "### {name}\n\n{}\n", about(described)).unwrap();
        let first = |kind: &str| !described[kind][0].is_null();
        if first("oneOf") && described["oneOf"][0]["type"] == "object" {
            text += &variants(described, "state", "state");
        } else if first("oneOf") {
            text += "| value | |\n|---|---|\n";
            for one in described["oneOf"].as_array().unwrap() {
                let values = one["enum"].as_array().cloned();
                for value in values.unwrap_or_else(|| vec![one["const"].clone()]) {
                    writeln!(text, "| `{}` | {} |", value.as_str().unwrap(), about(one)).unwrap();
                }
            }
        } else if described["properties"].is_object() {
            text += "| member | type | |\n|---|---|---|\n";
            for row in members_of(described) {
                writeln!(text, "| `{}` | {} | {} |", row.name, row.shape, row.about).unwrap();
            }
        } else {
            writeln!(text, "An {}.", shape(described)).unwrap();
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// A table of the objects of which one is there, told apart by the member `tag`.
fn variants(schema: &Value, tag: &str, title: &str) -> String {
    let mut text = format!("| {title} | members | |\n|---|---|---|\n");
    for one in schema["oneOf"].as_array().unwrap() {
        let name = one["properties"][tag]["const"].as_str().unwrap();
        let carried: Vec<_> = (members_of(one).into_iter())
            .filter(|row| row.name != tag)
            .map(|row| format!("`{}`: {}", row.name, row.shape))
            .collect();
        writeln!(text, "| `{name}` | {} | {} |", carried.join("; "), about(one)).unwrap();
    }
    text
}

struct Member {
    name: String,
    required: bool,
    shape: String,
    about: String,
}

/// The members of an object, those first that are always there.
fn members_of(object: &Value) -> Vec<Member> {
    let required = object["required"].as_array().cloned().unwrap_or_default();
    let properties = object["properties"].as_object().into_iter().flatten();
    let mut all: Vec<_> = properties
        .map(|(name, described)| Member {
            name: name.clone(),
            required: required.contains(&json!(name)),
            shape: shape(described),
            about: about(described),
        })
        .collect();
    all.sort_by_key(|member| !member.required);
    all
}

fn members(object: &Value, show: impl Fn(&str, bool, &str) -> String) -> Vec<String> {
    members_of(object).iter().map(|it| show(&it.name, it.required, &it.about)).collect()
}

/// What a value looks like, in a few words.
fn shape(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return format!("[`{name}`](#{})", name.to_lowercase());
    }
    let either = schema["anyOf"].as_array().cloned();
    let either = either.or_else(|| {
        let types = schema["type"].as_array()?;
        let one = |kind: &Value| {
            let mut one = schema.clone();
            one["type"] = kind.clone();
            one
        };
        Some(types.iter().map(one).collect())
    });
    if let Some(either) = either {
        return either.iter().map(shape).collect::<Vec<_>>().join(" or ");
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", shape(&schema["items"])),
        Some("null") => "`null`".to_owned(),
        Some("string") => match schema["pattern"].as_str() {
            Some(pattern) => format!("`{}…`", pattern.trim_start_matches('^')),
            None => "text".to_owned(),
        },
        Some("integer") => "integer".to_owned(),
        Some("boolean") => "boolean".to_owned(),
        Some("object") => "object of numbers".to_owned(),
        other => panic!("{other:?} in {schema}"),
    }
}

/// The description, on one line and without links into the Rust documentation.
fn about(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("[`", "`");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("`]") {
        out += before;
        out.push('`');
        rest = match after.strip_prefix('(').and_then(|after| after.split_once(')')) {
            Some((_, after)) => after,
            None => after,
        };
    }
    out + rest
}

fn uncapitalised(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[test]
fn the_reference_is_that_of_the_code() {
    let path = here("docs/C-API.md");
    let found = std::fs::read_to_string(&path).unwrap();
    let mut wanted = found.clone();
    for (part, text) in reference() {
        let begin = format!("<!-- {part}: written by tests/c_api.rs -->\n");
        let end = format!("<!-- end of {part} -->\n");
        let (before, rest) = wanted.split_once(&begin).expect(part);
        let (_, after) = rest.split_once(&end).expect(part);
        wanted = format!("{before}{begin}\n{text}\n{end}{after}");
    }
    if std::env::var_os("WAKU_CHAT_WRITE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(
        found == wanted,
        "docs/C-API.md is not what the code says: write it with WAKU_CHAT_WRITE_DOCS=1 \
         cargo test --test c_api, and look at what changed"
    );
}

#[test]
fn the_documentation_names_all_codes() {
    let text = std::fs::read_to_string(here("docs/C-API.md")).unwrap();
    let header = std::fs::read_to_string(here("include/waku_chat.h")).unwrap();
    let words = header.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for word in words.filter(|word| word.starts_with("WAKU_CHAT_CODE_")) {
        assert!(text.contains(word), "{word}");
    }
}
