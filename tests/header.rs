//! The header that is checked in is the one that the code makes.
//!
//! After a change of the interface, `WAKU_CHAT_WRITE_HEADER=1 cargo test --test header` writes it.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use cbindgen::{Builder, Config, Language, RenameRule, Style};

const ABOVE: &str = "\
/*
 * The C interface of waku-chat: end-to-end encrypted group chat over Waku.
 *
 * docs/C-API.md is the manual: it describes the JSON and what may be called from which thread. In short:
 *
 * - Functions return a code; WAKU_CHAT_CODE_OK (0) is success. Where a function takes `error`, a failure
 *   writes {\"code\": \"...\", \"message\": \"...\", \"retryable\": false} there, which the caller frees.
 * - Texts are UTF-8 and end with a zero byte. Arguments stay the caller's; they must not change during
 *   the call and are not needed after it. Texts that a function writes to a place of the caller's are
 *   freed with waku_chat_free_string.
 * - A place for a result is emptied first. It must not be used by another call at the same time.
 * - Any thread may call any function at any time, with one exception: in a callback of a node that a
 *   client is attached to, only waku_chat_handle_event may be called.
 * - A client is a number. Using one that was closed is an error, not undefined behaviour.
 *
 * Generated from src/ffi by tests/header.rs: do not edit.
 */";

fn here(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn generate() -> String {
    let mut config = Config {
        language: Language::C,
        header: Some(ABOVE.to_owned()),
        include_guard: Some("WAKU_CHAT_H".to_owned()),
        usize_is_size_t: true,
        no_includes: true,
        sys_includes: vec!["stddef.h".to_owned(), "stdint.h".to_owned()],
        cpp_compat: true,
        style: Style::Both,
        line_length: 100,
        ..Config::default()
    };
    config.enumeration.rename_variants = RenameRule::QualifiedScreamingSnakeCase;
    let bindings = Builder::new()
        .with_config(config)
        .with_src(here("src/ffi/code.rs"))
        .with_src(here("src/ffi/abi/handle.rs"))
        .with_src(here("src/ffi/abi/account.rs"))
        .with_src(here("src/ffi/abi/methods.rs"))
        .with_src(here("src/ffi/abi/events.rs"))
        .with_src(here("src/ffi/abi/texts.rs"))
        .generate()
        .unwrap();
    let mut header = Vec::new();
    bindings.write(&mut header);
    String::from_utf8(header).unwrap()
}

#[test]
fn the_header_is_that_of_the_code() {
    let path = here("include/waku_chat.h");
    let generated = generate();
    if std::env::var_os("WAKU_CHAT_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(
        found == generated,
        "include/waku_chat.h is not that of src/ffi: write it with WAKU_CHAT_WRITE_HEADER=1 \
         cargo test --test header, and look at what changed"
    );
}

/// C and C++ take the header, with everything that they warn of.
#[test]
fn compilers_take_the_header() {
    let dir = tempfile::tempdir().unwrap();
    for (variable, compiler, standards, extension) in
        [("CC", "cc", ["c99", "c17"], "c"), ("CXX", "c++", ["c++11", "c++20"], "cpp")]
    {
        let compiler = std::env::var(variable).unwrap_or_else(|_| compiler.to_owned());
        let program = dir.path().join("includes").with_extension(extension);
        let text = "#include \"waku_chat.h\"\n\
                    #include \"waku_chat.h\"\n\
                    int main(void) { return waku_chat_close(0) == WAKU_CHAT_CODE_OK; }\n";
        std::fs::write(&program, text).unwrap();
        for standard in standards {
            let mut command = Command::new(&compiler);
            command
                .arg(format!("-std={standard}"))
                .args(["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"])
                .args(["-fsyntax-only", "-I"])
                .arg(here("include"))
                .arg(&program);
            let compiled = command.output().unwrap();
            let told = String::from_utf8_lossy(&compiled.stderr);
            assert!(compiled.status.success(), "{compiler} {standard}: {told}");
        }
    }
}
