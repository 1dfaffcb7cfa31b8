//! The Rust files of the workspace, or of a made-up one.

use std::collections::BTreeMap;
use std::path::Path;

/// Folders that hold no source of ours: what cargo builds, and what was taken from elsewhere.
const NOT_OURS: [&str; 3] = ["target", "vendor", "node_modules"];

/// Text of each file, by its path from the workspace's root, with `/` between folders.
#[derive(Default)]
pub(crate) struct Sources {
    files: BTreeMap<String, String>,
}

impl Sources {
    /// Reads all Rust files below a folder.
    pub(crate) fn read(root: &Path) -> Self {
        let mut sources = Self::default();
        sources.read_folder(root, "");
        sources
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !name.starts_with('.') && !NOT_OURS.contains(&name.as_str()) {
                self.read_folder(&entry.path(), &format!("{path}/"));
            } else if kind.is_file() && name.ends_with(".rs") {
                self.files.insert(path, std::fs::read_to_string(entry.path()).unwrap());
            }
        }
    }

    /// A made-up tree.
    pub(crate) fn made_up(files: &[(&str, &str)]) -> Self {
        let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        Self { files: files.iter().map(own).collect() }
    }

    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// How many lines each file has.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = (&str, usize)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.lines().count()))
    }

    /// The files from which the modules below a source folder start: a library, programs.
    pub(crate) fn roots(&self, source: &str) -> Vec<&str> {
        let is_root = |path: &&str| {
            let Some(rest) = path.strip_prefix(source).and_then(|rest| rest.strip_prefix('/'))
            else {
                return false;
            };
            matches!(rest, "lib.rs" | "main.rs")
                || rest
                    .strip_prefix("bin/")
                    .is_some_and(|program| !program.contains('/') || program.ends_with("/main.rs"))
        };
        self.files.keys().map(String::as_str).filter(is_root).collect()
    }
}
