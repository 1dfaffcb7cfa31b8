//! Clients on a host's node that does not answer: events of any kind, and detaching from a node that is
//! busy.
#![cfg(unix)]
#![allow(clippy::unwrap_used, unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::{NonNull, null_mut};
use std::thread;

use proptest::prelude::*;
use serde_json::json;
use waku_chat::ffi::*;

/// The library of stuck.c, with its pipes.
struct Stuck {
    library: PathBuf,
    entered: PathBuf,
    released: PathBuf,
}

impl Stuck {
    fn compile(dir: &Path) -> Self {
        let [entered, released] = ["entered", "released"].map(|name| dir.join(name));
        let made = Command::new("mkfifo").args([&entered, &released]).status().unwrap();
        assert!(made.success());
        let library = dir.join("libwaku.so");
        let compiled = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
            .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC"])
            .arg(format!("-DENTERED=\"{}\"", entered.display()))
            .arg(format!("-DRELEASED=\"{}\"", released.display()))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ffi_attach/stuck.c"))
            .arg("-o")
            .arg(&library)
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Self { library, entered, released }
    }

    /// Returns when a call to the library is under way.
    fn wait_entered(&self) {
        drop(OpenOptions::new().read(true).open(&self.entered).unwrap());
    }

    /// Lets that call return.
    fn release(&self) {
        drop(OpenOptions::new().write(true).open(&self.released).unwrap());
    }
}

fn attach(database: &Path, library: &Path) -> WakuChatClient {
    let (mut phrase, mut client, mut error) = (null_mut(), 0, null_mut());
    // SAFETY: texts and places of this function; the library does not look at the context.
    unsafe {
        assert_eq!(waku_chat_new_phrase(&raw mut phrase, null_mut()), WakuChatCode::Ok);
        let config = json!({
            "database": database,
            "key": "00".repeat(32),
            "network": "fast",
            "create": {"phrase": CStr::from_ptr(phrase).to_str().unwrap()},
            "transport": {"attached": {"library": library}},
        });
        waku_chat_free_string(phrase);
        let config = CString::new(config.to_string()).unwrap();
        let context = NonNull::dangling().as_ptr();
        let code = waku_chat_attach(config.as_ptr(), context, &raw mut client, &raw mut error);
        assert_eq!(
            code,
            WakuChatCode::Ok,
            "{:?}",
            (!error.is_null()).then(|| CStr::from_ptr(error))
        );
    }
    client
}

fn pass_on(client: WakuChatClient, ret: i32, event: &[u8]) -> WakuChatCode {
    // SAFETY: so many bytes are there.
    unsafe { waku_chat_handle_event(client, ret, event.as_ptr().cast(), event.len()) }
}

/// One test: the library has one node for the whole process.
#[test]
fn a_node_that_is_busy_is_not_let_go_of() {
    let dir = tempfile::tempdir().unwrap();
    let stuck = Stuck::compile(dir.path());
    let client = attach(&dir.path().join("chat.db"), &stuck.library);
    stuck.wait_entered();

    // Whatever a host passes on, however often and from which thread, it is taken, and nothing waits for
    // the node.
    let mut runner = proptest::test_runner::TestRunner::default();
    let known = r#"\{"eventType":"(message|connection_change|x)","wakuMessage":.{0,40}\}"#;
    let event = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        known.prop_map(String::into_bytes),
    ];
    runner
        .run(&(event, any::<i32>()), |(event, ret)| {
            prop_assert_eq!(pass_on(client, ret, &event), WakuChatCode::Ok);
            prop_assert_eq!(pass_on(client, 0, &event), WakuChatCode::Ok);
            Ok(())
        })
        .unwrap();
    let large = vec![b'x'; 4 * 1024 * 1024];
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let large = large.clone();
            thread::spawn(move || {
                for _ in 0..1000 {
                    assert_eq!(pass_on(client, 0, b"{}"), WakuChatCode::Ok);
                }
                pass_on(client, 0, &large)
            })
        })
        .collect();
    for handing in threads {
        assert_eq!(handing.join().unwrap(), WakuChatCode::Ok);
    }

    // Closing says that the node is still in use, and the client is over all the same.
    assert_eq!(waku_chat_close(client), WakuChatCode::Timeout);
    let mut event = null_mut();
    // SAFETY: a place of this function.
    let next = unsafe { waku_chat_next_event(client, 0, &raw mut event, null_mut()) };
    assert_eq!(next, WakuChatCode::Closed);
    assert_eq!(pass_on(client, 0, b"{}"), WakuChatCode::Closed);

    // Another one waits for it, and returns as soon as the call has.
    let closing = thread::spawn(move || waku_chat_close(client));
    stuck.release();
    assert_eq!(closing.join().unwrap(), WakuChatCode::Ok);
    assert_eq!(waku_chat_close(client), WakuChatCode::Closed);
}
