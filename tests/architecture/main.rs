//! Holds the order of the house: which file may use which.
//!
//! # Arrows
//!
//! An arrow goes from a file to the file that defines what it uses. It comes from `use` items and
//! from every path in the code, those in a macro's arguments and in serde's attributes too. A name
//! is followed through re-exports and imports to where it is defined, so that `super::Name` is an
//! arrow to the sibling that defines it and not to the parent that re-exports it. These are not
//! arrows:
//!
//! - the declaration of a module, the import of a module as such, and a re-export (a `use` with a
//!   visibility): what somebody then names through them is one;
//! - what tests alone see: items behind `cfg(test)`, files called `*_tests.rs`;
//! - what needs types to be known: a call of a method, a field. One kind of call is known all the
//!   same:
//!   `self.method()` in an `impl` of a type whose methods are spread over several files. Those arrows are
//!   held within `chat-core/src/machine`, together with the others.
//!
//! # Rules
//!
//! 1. A file is not longer than [`MAX_LINES`], but for the [`GENERATED`] ones; half of all files
//!    are shorter
//!    than [`MAX_MEDIAN`].
//! 2. The files of a crate form no circle. There is no exception for a parent and its children: a
//!    `mod.rs`
//!    that uses its children may not be used by them. What both need stands in a file of its own, and the
//!    parent re-exports it. So a type with an `impl` in several files is defined below all of them.
//! 3. In `chat-core/src/machine` the parts (folders, or files beside them) form no circle either,
//!    and no
//!    arrow goes from a lower one of the [`FLOORS`] to a higher one.
//!
//! What is broken is printed arrow by arrow; `cargo test --test architecture -- --nocapture` shows
//! also what is [`NOT_YET`] held.

#![allow(clippy::unwrap_used)]

mod arrows;
mod checker_tests;
mod graph;
mod modules;
mod sources;

use std::path::Path;

use arrows::Arrow;
use graph::Graph;
use sources::Sources;

/// The longest that a file may be, in lines: one idea fits.
const MAX_LINES: usize = 600;

/// Half of all files have fewer lines than this.
const MAX_MEDIAN: usize = 200;

/// Files that may be longer, each with the reason.
const GENERATED: &[(&str, &str)] = &[];

/// The source folder of each crate.
const CRATES: &[&str] = &[
    "src",
    "bounded-queue/src",
    "chat-cli/src",
    "chat-core/src",
    "chat-sim/src",
    "libwaku-json/src",
    "waku-node/src",
    "waku-node-capi/src",
    "waku-sys/src",
    "waku-transport/src",
];

/// The part of `chat-core` that has floors of its own.
const MACHINE: &str = "chat-core/src/machine";

/// The parts of the machine, lowest floor first. A part uses those on lower floors and on its own.
const FLOORS: &[&[&str]] = &[
    &["api"],
    &["parcel.rs", "cx.rs", "effect.rs"],
    &["net"],
    &["account"],
    &["people"],
    &["linking"],
    &["group"],
    // The machine's own struct, which holds the parts: what is above adds methods to it.
    &["assembly.rs"],
    &["flows"],
    &["route", "newcomer"],
    &["mod.rs"],
];

/// Where the rules are not kept yet: source folders with circles, and files that are too long.
const NOT_YET: &[&str] = &[];

fn workspace() -> Sources {
    Sources::read(Path::new(env!("CARGO_MANIFEST_DIR")))
}

/// The files that are too long, and whether half of all files are.
fn too_long(sources: &Sources) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lengths = Vec::new();
    for (path, lines) in sources.lengths() {
        lengths.push(lines);
        if lines > MAX_LINES && !GENERATED.iter().any(|(generated, _)| *generated == path) {
            found
                .push((path.to_owned(), format!("{path}: {lines} lines, more than {MAX_LINES}\n")));
        }
    }
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or_default();
    if median >= MAX_MEDIAN {
        found.push(("median".to_owned(), format!("the median file has {median} lines\n")));
    }
    found
}

/// The circles among the files of a crate. The machine counts as one file there.
fn circles_of_crate(arrows: &[Arrow]) -> Vec<String> {
    let node = |file: &str| {
        let is_machine = part_of_machine(file).is_some();
        Some(if is_machine { MACHINE.to_owned() } else { file.to_owned() })
    };
    let arrows: Vec<Arrow> = arrows.iter().filter(|arrow| !arrow.own_call).cloned().collect();
    Graph::new(&arrows, node).circles()
}

/// The folder or file beside it that a file of the machine is in.
fn part_of_machine(file: &str) -> Option<&str> {
    file.strip_prefix(MACHINE)?.strip_prefix('/')?.split('/').next()
}

/// What is wrong within the machine: circles of parts and within parts, arrows to higher floors.
fn faults_of_machine(arrows: &[Arrow], floors: &[&[&str]]) -> Vec<String> {
    let parts = Graph::new(arrows, |file| part_of_machine(file).map(str::to_owned));
    let mut faults = parts.circles();
    faults.extend(parts.backward(floors));
    let within: Vec<Arrow> = arrows
        .iter()
        .filter(|arrow| part_of_machine(&arrow.from) == part_of_machine(&arrow.to))
        .cloned()
        .collect();
    let node = |file: &str| part_of_machine(file).map(|_| file.to_owned());
    faults.extend(Graph::new(&within, node).circles());
    faults
}

/// Prints all faults, and fails for those that are not known.
fn hold(faults: &[(String, String)]) {
    let mut unknown = 0;
    for (place, fault) in faults {
        let is_known = NOT_YET.contains(&place.as_str());
        unknown += usize::from(!is_known);
        println!("{}{place}: {fault}", if is_known { "not yet: " } else { "" });
    }
    assert_eq!(unknown, 0, "places where the architecture is broken: see above");
}

#[test]
fn files_are_short() {
    hold(&too_long(&workspace()));
}

#[test]
fn no_crate_has_a_circle_of_files() {
    let sources = workspace();
    let mut faults = Vec::new();
    for source in CRATES {
        assert!(!sources.roots(source).is_empty(), "{source} has no root");
        let circles = circles_of_crate(&arrows::of_folder(&sources, source));
        faults.extend(circles.into_iter().map(|circle| ((*source).to_owned(), circle)));
    }
    hold(&faults);
}

#[test]
fn the_machine_keeps_its_floors() {
    let arrows = arrows::of_folder(&workspace(), "chat-core/src");
    let faults = faults_of_machine(&arrows, FLOORS);
    hold(&faults.into_iter().map(|fault| (MACHINE.to_owned(), fault)).collect::<Vec<_>>());
}

/// A crate that joins the workspace is looked at too.
#[test]
fn all_crates_are_looked_at() {
    let sources = workspace();
    let roots: Vec<&str> = sources
        .lengths()
        .filter_map(|(path, _)| path.strip_suffix("/lib.rs").or(path.strip_suffix("/main.rs")))
        .filter(|folder| *folder == "src" || folder.ends_with("/src"))
        .collect();
    assert!(!roots.is_empty());
    for folder in roots {
        assert!(CRATES.contains(&folder), "{folder} is not in CRATES");
    }
}
