//! The text format of Prometheus.

/// Reads the text format of Prometheus, strictly.
pub(crate) fn samples(text: &str) -> Vec<(String, f64)> {
    assert!(text.ends_with('\n'));
    let mut described = ("", "");
    let mut families = std::collections::HashSet::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(families.insert(name) && !help.is_empty(), "{line}");
            described = (name, "");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, described.0, "TYPE follows HELP");
            assert!(matches!(kind, "counter" | "gauge"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            described.1 = kind;
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
            assert_eq!(name, described.0, "samples follow their family");
            assert!(!described.1.is_empty());
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
            assert!(labels == "}" || labels.ends_with("\"}"), "{line}");
            found.push((sample.to_owned(), value.parse().unwrap()));
        }
    }
    found
}
