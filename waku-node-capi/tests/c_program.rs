//! The shared library as C sees it: all functions of the header, and a program that walks through
//! them.

#![allow(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn here(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The library that Cargo built for this test.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let deps = test.parent().expect("a directory");
    let name = "libwaku_node_capi.so";
    [deps.join(name), deps.with_file_name(name)]
        .into_iter()
        .find(|path| path.exists())
        .expect("the library beside the test")
}

/// The functions that the header declares.
fn declared() -> Vec<String> {
    let header = std::fs::read_to_string(here("../vendor/libwaku.h")).expect("the header");
    let starts = ["int waku_", "void waku_", "void *waku_"];
    header
        .lines()
        .filter(|line| starts.iter().any(|s| line.starts_with(s)))
        .map(|line| {
            let name = line.split('(').next().expect("a name");
            name[name.find("waku_").expect("it is there")..].to_owned()
        })
        .collect()
}

#[test]
fn all_functions_of_the_header_are_there() {
    // SAFETY: the library's initialisers do nothing.
    let library = unsafe { libloading::Library::new(library()) }.expect("it loads");
    let names = declared();
    assert_eq!(names.len(), 42, "{names:?}");
    for name in names {
        // SAFETY: the symbol is looked up, and not called.
        let symbol = unsafe { library.get::<unsafe extern "C" fn()>(name.as_bytes()) };
        assert!(symbol.is_ok(), "{name}");
    }
}

#[test]
fn a_c_program_walks_through_all_of_it() {
    let dir = tempfile::tempdir().expect("a directory");
    // The library takes libwaku's place by its name.
    std::os::unix::fs::symlink(library(), dir.path().join("libwaku.so")).expect("a link");
    let program = dir.path().join("walk");
    let compiled = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-I"])
        .arg(here("../vendor"))
        .arg(here("tests/walk.c"))
        .arg("-L")
        .arg(dir.path())
        .args(["-lwaku", "-lpthread", "-o"])
        .arg(&program)
        .output()
        .expect("a C compiler");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let ran =
        Command::new(&program).env("LD_LIBRARY_PATH", dir.path()).output().expect("the program");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{told}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(told.contains("each answered once"), "{told}");
}
