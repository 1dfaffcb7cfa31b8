//! The example host: a C program with a node of libwaku that two accounts are attached to.
//!
//! It runs on the libwaku that `LIBWAKU_PATH` names, or on the drop-in.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn here(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// A shared library of the workspace: what cargo has built together with this test, or builds now.
fn library(package: &str, name: &str) -> PathBuf {
    // …/target/<profile>/deps/<this test>
    let test = std::env::current_exe().unwrap();
    let deps = test.parent().unwrap().to_owned();
    let profile = deps.parent().unwrap();
    let found = || [deps.join(name), profile.join(name)].into_iter().find(|path| path.is_file());
    if let Some(path) = found() {
        return path;
    }
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "-p", package]).current_dir(here("."));
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(name) => drop(command.args(["--profile", name])),
    }
    command.arg("--target-dir").arg(profile.parent().unwrap());
    assert!(command.stdin(Stdio::null()).status().unwrap().success(), "{package} does not build");
    found().unwrap()
}

fn libwaku() -> PathBuf {
    match std::env::var_os("LIBWAKU_PATH") {
        Some(path) => PathBuf::from(path).canonicalize().unwrap(),
        None => library("waku-node-capi", "libwaku_node_capi.so"),
    }
}

#[test]
fn a_host_in_c_lends_its_node_to_two_accounts() {
    let dir = tempfile::tempdir().unwrap();
    let libraries = dir.path().join("lib");
    std::fs::create_dir(&libraries).unwrap();
    let ours = library("waku-chat", "libwaku_chat.so");
    // As they are installed: one name for the linker, one for the loader.
    symlink(&ours, libraries.join("libwaku_chat.so")).unwrap();
    symlink(&ours, libraries.join("libwaku_chat.so.0")).unwrap();
    symlink(libwaku(), libraries.join("libwaku.so")).unwrap();

    let program = dir.path().join("host");
    let compiled = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"])
        .arg("-I")
        .arg(here("include"))
        .arg("-I")
        .arg(here("vendor"))
        .arg(here("examples/c/host.c"))
        .arg("-L")
        .arg(&libraries)
        .args(["-lwaku_chat", "-lwaku", "-lpthread", "-o"])
        .arg(&program)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));

    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let ran = Command::new(&program)
        .arg(&data)
        .env("LD_LIBRARY_PATH", &libraries)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stdout);
    let complaint = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{:?}\n{told}{complaint}", ran.status);
    let lines: Vec<_> = told.lines().collect();
    for wanted in [
        "alice reads: I do",
        "bob reads: Who brings the cake?",
        "carol reads: Alice is gone",
        "bob reads: But we are here",
        "the host still has its node",
        "done",
    ] {
        assert!(lines.contains(&wanted), "no {wanted:?} in\n{told}{complaint}");
    }
    let at = |wanted: &str| lines.iter().position(|line| *line == wanted).unwrap();
    assert!(at("alice is closed") < at("carol reads: Alice is gone"), "{told}");
    assert!(at("bob is closed") < at("the host still has its node"), "{told}");
}

/// The library has the functions of the header, and no other names that could meet those of a host.
#[test]
fn the_library_exports_what_the_header_declares() {
    let header = std::fs::read_to_string(here("include/waku_chat.h")).unwrap();
    let words = header.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '(');
    let declared: BTreeSet<_> = words
        .filter_map(|word| word.split_once('('))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("waku_chat_"))
        .collect();
    assert_eq!(declared.len(), 11, "{declared:?}");

    let listed = Command::new("nm")
        .args(["--dynamic", "--defined-only", "--format=just-symbols"])
        .arg(library("waku-chat", "libwaku_chat.so"))
        .output()
        .unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let exported: BTreeSet<_> =
        String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(exported, declared);
}
