//! The checker finds what it is to find, in made-up trees.

use crate::arrows::{Arrow, of_folder};
use crate::sources::Sources;
use crate::{FLOORS, circles_of_crate, faults_of_machine, too_long};

/// The arrows of a made-up crate, as `from → to`, without its folder.
fn arrows(files: &[(&str, &str)]) -> Vec<String> {
    let short = |arrow: Arrow| {
        let cut = |path: &str| path.strip_prefix("a/src/").unwrap().to_owned();
        format!("{} → {}", cut(&arrow.from), cut(&arrow.to))
    };
    let mut arrows: Vec<String> =
        of_folder(&Sources::made_up(files), "a/src").into_iter().map(short).collect();
    arrows.dedup();
    arrows
}

fn machine(files: &[(&str, &str)]) -> Vec<String> {
    let mut all = vec![("chat-core/src/lib.rs", "mod machine;")];
    all.extend_from_slice(files);
    faults_of_machine(&of_folder(&Sources::made_up(&all), "chat-core/src"), FLOORS)
}

#[test]
fn a_use_is_an_arrow_to_the_file_that_defines() {
    let found = arrows(&[
        ("a/src/lib.rs", "mod one; mod two;"),
        ("a/src/one.rs", "use crate::two::Deep;"),
        ("a/src/two.rs", "mod deep; pub use deep::Deep;"),
        ("a/src/two/deep.rs", "pub struct Deep;"),
    ]);
    assert_eq!(found, ["one.rs → two/deep.rs"]);
}

#[test]
fn paths_in_the_code_are_arrows() {
    let found = arrows(&[
        (
            "a/src/lib.rs",
            "mod f; mod m; mod s; mod t; mod one { mod two { fn g() { crate::f::f() } } }",
        ),
        ("a/src/f.rs", "pub fn f() -> super::t::T { matches!(1, crate::m::M); todo!() }"),
        ("a/src/t.rs", "use crate::s; #[serde(with = \"crate::m::with\")] pub struct T(s::S);"),
        ("a/src/s.rs", "pub type S = u8;"),
        ("a/src/m.rs", "pub const M: u8 = 1;"),
    ]);
    assert_eq!(
        found,
        ["f.rs → m.rs", "f.rs → t.rs", "lib.rs → f.rs", "t.rs → m.rs", "t.rs → s.rs"]
    );
}

#[test]
fn globs_and_names_of_the_parent_are_followed() {
    let found = arrows(&[
        ("a/src/lib.rs", "mod all; mod child; mod one; use one::One; fn f(_: One) {}"),
        ("a/src/one.rs", "pub struct One; pub struct Two;"),
        ("a/src/all.rs", "pub use super::one::*;"),
        ("a/src/child.rs", "use super::One; fn f(_: crate::all::Two) {}"),
    ]);
    assert_eq!(found, ["child.rs → one.rs", "lib.rs → one.rs"]);
}

#[test]
fn what_tests_alone_see_is_left_out() {
    let found = arrows(&[
        ("a/src/lib.rs", "mod one; mod two; #[cfg(test)] mod missing;"),
        (
            "a/src/one.rs",
            "#[cfg(test)] mod tests { use crate::two::Two; } #[test] fn f() { crate::two::g(); } \
             #[path = \"one_tests.rs\"] mod more;",
        ),
        ("a/src/one_tests.rs", "use crate::two::Two;"),
        ("a/src/two.rs", "pub struct Two;"),
    ]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn other_crates_and_unknown_names_are_no_arrows() {
    let found = arrows(&[
        ("a/src/lib.rs", "mod one; use std::fmt; fn f<T: Default>() -> T { T::default() }"),
        (
            "a/src/one.rs",
            "use serde::Serialize; use bytes; fn f(_: bytes::Bytes, _: fmt::Error) {}",
        ),
    ]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_macro_is_used_where_it_is_called() {
    let found = arrows(&[
        ("a/src/lib.rs", "#[macro_use] mod makes; mod ids; mod user;"),
        (
            "a/src/makes.rs",
            "macro_rules! id { ($name:ident) => { pub struct $name; } }\npub(crate) use id;",
        ),
        ("a/src/ids.rs", "use crate::makes::id; id!(GroupId);"),
        ("a/src/user.rs", "use crate::ids::GroupId;"),
    ]);
    assert_eq!(found, ["ids.rs → makes.rs", "user.rs → ids.rs"]);
}

#[test]
fn a_circle_of_files_is_found() {
    let files = [
        ("a/src/lib.rs", "mod one; mod three; mod two;"),
        ("a/src/one.rs", "use crate::two::Two;\npub struct One;"),
        ("a/src/two.rs", "use crate::three::Three; pub struct Two;"),
        ("a/src/three.rs", "pub struct Three(crate::one::One);"),
    ];
    let circles = circles_of_crate(&of_folder(&Sources::made_up(&files), "a/src"));
    assert_eq!(circles.len(), 1);
    assert!(circles[0].contains("a circle among 3 files"), "{}", circles[0]);
    assert!(
        circles[0].contains("a/src/one.rs → a/src/two.rs  (a/src/one.rs:1: crate::two::Two"),
        "{}",
        circles[0]
    );
}

#[test]
fn a_parent_that_uses_its_child_may_not_be_used_by_it() {
    let child = ("a/src/one.rs", "use super::Top;\npub struct One;");
    let calm = [("a/src/lib.rs", "mod one; pub use one::One; pub struct Top;"), child];
    let knot = [("a/src/lib.rs", "mod one; use one::One; pub struct Top(One);"), child];
    let circles =
        |files: &[(&str, &str)]| circles_of_crate(&of_folder(&Sources::made_up(files), "a/src"));
    assert!(circles(&calm).is_empty());
    assert!(circles(&knot)[0].contains("circle among 2"));
}

#[test]
fn an_arrow_to_a_higher_floor_is_found() {
    let faults = machine(&[
        ("chat-core/src/machine/mod.rs", "mod api; mod net; use net::Outbox;"),
        ("chat-core/src/machine/api/mod.rs", "mod io;"),
        ("chat-core/src/machine/api/io.rs", "\nfn f(_: crate::machine::net::Outbox) {}"),
        ("chat-core/src/machine/net/mod.rs", "mod outbox; pub use outbox::Outbox;"),
        ("chat-core/src/machine/net/outbox.rs", "pub struct Outbox;"),
    ]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("upwards:\n  api → net  (chat-core/src/machine/api/io.rs:2"));
}

#[test]
fn circles_of_parts_and_within_parts_are_found() {
    let faults = machine(&[
        ("chat-core/src/machine/mod.rs", "mod api; mod net;"),
        ("chat-core/src/machine/api/mod.rs", "mod io; mod error;"),
        (
            "chat-core/src/machine/api/io.rs",
            "use crate::machine::net::Net; use super::error::E; pub struct I;",
        ),
        ("chat-core/src/machine/api/error.rs", "use super::io::I; pub struct E;"),
        ("chat-core/src/machine/net/mod.rs", "use super::api::io::I; pub struct Net;"),
    ]);
    let is_there = |text: &str| faults.iter().any(|fault| fault.contains(text));
    assert!(is_there("among 2 files or folders: api → net → api"), "{faults:?}");
    assert!(is_there("machine/api/error.rs → chat-core/src/machine/api/io.rs"), "{faults:?}");
}

/// Methods of one type in several files call one another without an import.
#[test]
fn own_methods_in_other_files_are_arrows_of_the_machine() {
    let faults = machine(&[
        ("chat-core/src/machine/mod.rs", "mod account; mod group; mod route;"),
        ("chat-core/src/machine/group/mod.rs", "pub struct Machine;"),
        (
            "chat-core/src/machine/account/mod.rs",
            "use super::group::Machine; impl Machine { fn a(&self) { self.b() } }",
        ),
        (
            "chat-core/src/machine/route/mod.rs",
            "use super::group::Machine; impl Machine { fn b(&self) { Self::a(self) } }",
        ),
    ]);
    assert!(faults.iter().any(|fault| fault.contains("account → route → account")), "{faults:?}");
}

#[test]
fn a_part_without_a_floor_is_found() {
    let faults = machine(&[
        ("chat-core/src/machine/mod.rs", "mod odd; use odd::Odd;"),
        ("chat-core/src/machine/odd.rs", "pub struct Odd;"),
    ]);
    assert_eq!(faults, ["on no floor: odd.rs\n"]);
}

#[test]
fn long_files_are_found() {
    let (long, most) = ("//\n".repeat(601), "//\n".repeat(600));
    let names = |sources: Sources| -> Vec<String> {
        too_long(&sources).into_iter().map(|(place, _)| place).collect()
    };
    assert_eq!(names(Sources::made_up(&[("a.rs", &long), ("b.rs", ""), ("c.rs", "")])), ["a.rs"]);
    assert_eq!(names(Sources::made_up(&[("a.rs", &most), ("b.rs", ""), ("c.rs", "")])), [""; 0]);
    let many = Sources::made_up(&[("a.rs", &most), ("b.rs", &most), ("c.rs", "")]);
    assert_eq!(names(many), ["median"]);
}
