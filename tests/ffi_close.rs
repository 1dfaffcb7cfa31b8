//! What a closed client leaves behind: nothing. A program of its own, since it counts what the process
//! has.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr::null_mut;

use serde_json::json;
use waku_chat::ffi::*;

/// Threads and descriptors of this process, by what they are.
fn possessions() -> (Vec<String>, Vec<String>) {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let threads: BTreeSet<_> = threads
        .filter_map(|task| {
            let task = task.unwrap();
            // One may end just now.
            let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
            Some(format!("{} {}", task.file_name().to_string_lossy(), name.trim()))
        })
        .collect();
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    let files: BTreeSet<_> = files
        .filter_map(|file| {
            let target = std::fs::read_link(file.unwrap().path()).ok()?;
            let target = target.to_string_lossy().into_owned();
            // The one that this list is read with.
            (!target.starts_with("/proc/")).then_some(target)
        })
        .collect();
    (threads.into_iter().collect(), files.into_iter().collect())
}

fn take(text: *mut c_char) -> String {
    assert!(!text.is_null());
    // SAFETY: a text of the library, freed once.
    unsafe {
        let taken = CStr::from_ptr(text).to_str().unwrap().to_owned();
        waku_chat_free_string(text);
        taken
    }
}

/// An account on an embedded node that listens.
fn open(database: &Path, transport: serde_json::Value) -> Result<WakuChatClient, WakuChatCode> {
    let (mut phrase, mut client) = (null_mut(), 0);
    // SAFETY: texts, and places of this function.
    unsafe {
        assert_eq!(waku_chat_new_phrase(&raw mut phrase, null_mut()), WakuChatCode::Ok);
        let config = json!({
            "database": database,
            "key": "00".repeat(32),
            "network": "fast",
            "create": {"phrase": take(phrase)},
            "transport": transport,
        });
        let config = CString::new(config.to_string()).unwrap();
        match waku_chat_open(config.as_ptr(), &raw mut client, null_mut()) {
            WakuChatCode::Ok => Ok(client),
            other => Err(other),
        }
    }
}

fn use_and_close(home: &Path) {
    let listening = json!({"embedded": {"listen": ["/ip4/127.0.0.1/tcp/0"]}});
    let first = open(&home.join("first.db"), listening).unwrap();
    let mut status = null_mut();
    // SAFETY: texts, and places of this function.
    let code = unsafe {
        let (method, status) = (c"status".as_ptr(), &raw mut status);
        waku_chat_request(first, method, std::ptr::null(), 60_000, status, null_mut())
    };
    assert_eq!(code, WakuChatCode::Ok);
    let status: serde_json::Value = serde_json::from_str(&take(status)).unwrap();
    let dialling = json!({"embedded": {"peers": status["listen_addresses"]}});
    let second = open(&home.join("second.db"), dialling).unwrap();
    for client in [first, second] {
        // SAFETY: a text; nobody wants the rest.
        let code = unsafe {
            let method = c"wait_connected".as_ptr();
            waku_chat_request(client, method, std::ptr::null(), 60_000, null_mut(), null_mut())
        };
        assert_eq!(code, WakuChatCode::Ok);
    }
    let (threads, files) = possessions();
    let ours = threads.iter().filter(|thread| thread.contains("waku-chat")).count();
    assert_eq!(ours, 2 * 3, "two for passing on and one for the database, each: {threads:?}");
    assert!(files.iter().any(|file| file.ends_with("first.db")), "{files:?}");
    for client in [first, second] {
        assert_eq!(waku_chat_close(client), WakuChatCode::Ok);
    }
    for name in ["first.db", "second.db"] {
        std::fs::remove_file(home.join(name)).unwrap();
    }
}

#[test]
fn nothing_is_left() {
    let home = tempfile::tempdir().unwrap();
    // What is made once for the whole process is made now.
    use_and_close(home.path());
    let before = possessions();
    for _ in 0..3 {
        use_and_close(home.path());
        // Neither does one that could not be opened.
        let nowhere = json!({"libwaku": {"library": "/nowhere/libwaku.so", "tcp_port": 1}});
        let refused = open(&home.path().join("none.db"), nowhere);
        assert_eq!(refused, Err(WakuChatCode::Node));
    }
    assert_eq!(possessions(), before);
}
