//! The program on its own: accounts, errors, exit codes, JSON.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::TcpListener;

use common::{Running, account, libwaku, program, run, run_with};
use serde_json::Value;

#[test]
fn init_makes_a_private_home_and_shows_the_phrase_once() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("deep/home");
    let made = run(&home, &["--json", "init", "--network", "fast"]).json();
    let phrase = made["phrase"].as_str().unwrap();
    assert_eq!(phrase.split(' ').count(), 24);
    let who = run(&home, &["--json", "whoami"]).json();
    assert_eq!(who["account"], made["account"]);
    assert_eq!(who["network"], "waku-chat-fast");

    let word = phrase.split(' ').next().unwrap().as_bytes();
    for entry in std::fs::read_dir(&home).unwrap() {
        let path = entry.unwrap().path();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
        let content = std::fs::read(&path).unwrap();
        let all = phrase.as_bytes();
        assert!(!content.windows(all.len()).any(|part| part == all), "{}", path.display());
        assert!(!word.is_empty());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&home).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    let again = run(&home, &["--json", "init", "--network", "fast"]);
    assert_eq!((again.code, again.error()["code"].as_str()), (6, Some("account_exists")));
    assert_eq!(run(&home, &["--json", "whoami"]).json()["account"], made["account"]);

    // For people: numbered words and a warning.
    let shown = run(&dir.path().join("other"), &["init"]);
    assert_eq!(shown.code, 0);
    assert!(shown.out.contains(" 1 ") && shown.out.contains("24 "), "{}", shown.out);
    assert!(shown.out.contains("one time") && shown.err.contains("--peer"), "{}", shown.err);
}

#[test]
fn passphrases_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (home, _) = account(dir.path(), "a", None);
    let wrong = program(&home)
        .env("WAKU_CHAT_PASSPHRASE", "wrong")
        .args(["--json", "whoami"])
        .output()
        .unwrap();
    let wrong = common::Ran::from(wrong);
    assert_eq!((wrong.code, wrong.error()["code"].as_str()), (4, Some("database_wrong_key")));
    assert!(!wrong.err.contains("wrong\""));

    // A file takes precedence over the environment; a line break at its end is ignored.
    let file = dir.path().join("passphrase");
    std::fs::write(&file, format!("{}\n", common::PASSPHRASE)).unwrap();
    let file = file.to_str().unwrap();
    let right = program(&home)
        .env("WAKU_CHAT_PASSPHRASE", "wrong")
        .args(["whoami", "--passphrase-file", file])
        .output()
        .unwrap();
    assert!(right.status.success());
    std::fs::write(file, "").unwrap();
    let empty = run(&home, &["--json", "whoami", "--passphrase-file", file]);
    assert_eq!((empty.code, empty.error()["code"].as_str()), (2, Some("no_passphrase")));
}

#[test]
fn a_home_in_use_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let (home, _) = account(dir.path(), "a", None);
    let mut rpc = Running::start(&home, &["rpc", "--offline"]);
    assert!(rpc.json()["ready"]["account"].is_string());
    let busy = run(&home, &["--json", "whoami"]);
    let error = busy.error();
    assert_eq!((busy.code, error["code"].as_str()), (5, Some("home_busy")));
    assert_eq!(error["retryable"], true);
    assert!(error["message"].as_str().unwrap().contains(home.to_str().unwrap()));
    assert_eq!(rpc.finish().0, 0);
    assert_eq!(run(&home, &["whoami"]).code, 0);
}

#[test]
fn mistakes_have_exit_codes_and_hints() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere");
    let none = run(&nowhere, &["whoami"]);
    assert_eq!(none.code, 6);
    assert!(none.err.contains("waku-chat init"), "{}", none.err);
    assert!(!nowhere.exists());

    let (home, _) = account(dir.path(), "a", None);
    let no_peers = run(&home, &["group", "list"]);
    assert_eq!(no_peers.code, 3);
    assert!(no_peers.err.contains("config.json"), "{}", no_peers.err);

    let unknown = run(&home, &["--json", "--offline", "send", "No such group", "hello"]);
    assert_eq!((unknown.code, unknown.error()["code"].as_str()), (1, Some("unknown_name")));
    let link = run(&home, &["--json", "contact", "add", "nonsense"]);
    assert_eq!((link.code, link.error()["code"].as_str()), (1, Some("bad_link")));

    for usage in [
        &["no-such-command"][..],
        &["send", "group"],
        &["--timeout", "soon", "whoami"],
        &["init", "--network", "/no/such/file"],
        &["node", "--retention", "2mo"],
        &["init", "--peer", "not an address"],
    ] {
        assert_eq!(run(&dir.path().join("u"), usage).code, 2, "{usage:?}");
    }

    std::fs::write(home.join("config.json"), "{").unwrap();
    let config = run(&home, &["--json", "whoami"]);
    assert_eq!((config.code, config.error()["code"].as_str()), (2, Some("config")));
}

#[test]
fn an_absent_peer_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    // A port without a listener: it was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let peer = format!("/ip4/127.0.0.1/tcp/{port}");
    let (home, _) = account(dir.path(), "a", Some(&peer));
    let away = run(&home, &["--json", "--timeout", "1", "group", "list"]);
    let error = away.error();
    assert_eq!((away.code, error["code"].as_str()), (3, Some("not_connected")));
    assert!(error["hint"].as_str().unwrap().contains("--offline"));
    assert_eq!(run(&home, &["--json", "--offline", "group", "list"]).json(), Value::Array(vec![]));
}

#[test]
fn a_busy_port_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let busy = run(dir.path(), &["node", "--listen", &address]);
    assert_eq!(busy.code, 1);
    assert!(busy.err.contains(&address) && busy.err.contains("--listen"), "{}", busy.err);
}

#[test]
fn a_node_keeps_its_key_and_ends_with_its_input() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("node.key");
    let args = [
        "--json",
        "node",
        "--with-stdin",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
        "--key",
        key.to_str().unwrap(),
    ];
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut node = Running::start(dir.path(), &args);
        let started = node.json();
        let id = started["peer_id"].as_str().unwrap().to_owned();
        assert!(started["listening"][0].as_str().unwrap().ends_with(&id));
        assert_eq!(node.finish().0, 0);
        ids.push(id);
    }
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn other_peoples_text_does_not_reach_the_terminal_raw() {
    let dir = tempfile::tempdir().unwrap();
    let (home, _) = account(dir.path(), "a", None);
    let (_, link) = {
        let (other, account) = account(dir.path(), "b", None);
        (account, run(&other, &["--json", "contact", "link"]).json())
    };
    let link = link["link"].as_str().unwrap();
    let name = "\u{1b}[2JMallory\u{202e}";
    let added = run_with(&home, &["contact", "add", "-", "--name", name], link);
    assert_eq!(added.code, 0, "{}", added.err);
    let listed = run(&home, &["contact", "list"]);
    for text in [&added.out, &listed.out] {
        assert!(text.contains("Mallory"));
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    }
    // Programs get the name unchanged; JSON escapes control characters.
    let json = run(&home, &["--json", "contact", "list"]);
    assert!(!json.out.contains('\u{1b}'));
    assert_eq!(json.json()[0]["name"], name);
}

#[test]
fn rpc_survives_nonsense() {
    let dir = tempfile::tempdir().unwrap();
    let (home, _) = account(dir.path(), "a", None);
    let mut rpc = Running::start(&home, &["rpc", "--offline"]);
    assert!(rpc.json()["ready"].is_object());
    let long = "x".repeat(2 * 1024 * 1024);
    for (line, code) in [
        ("nonsense", "bad_request"),
        ("[1,2]", "bad_request"),
        (&long, "bad_request"),
        (r#"{"id":7,"method":"no_such"}"#, "unknown_method"),
        (r#"{"id":7,"method":"wait_for_godot"}"#, "unknown_method"),
        (r#"{"id":7,"method":"send","params":{"text":"hi"}}"#, "bad_params"),
        (r#"{"id":7,"method":"wait_connected","params":{"timeout_ms":1}}"#, "timeout"),
    ] {
        rpc.write(line);
        let answer = rpc.json();
        assert_eq!(answer["error"]["code"], code, "{answer}");
    }
    rpc.write("");
    rpc.write(r#"{"id":{"any":"value"},"method":"create_group","params":{"name":"Alone"}}"#);
    let answer = rpc.json();
    assert_eq!(answer["id"]["any"], "value");
    let group = answer["result"]["id"].clone();
    rpc.write(&format!(r#"{{"id":1,"method":"send","params":{{"group":{group},"text":"hi"}}}}"#));
    let sent = rpc.json();
    assert!(sent["result"]["message"].is_string(), "{sent}");
    rpc.write(&format!(r#"{{"id":2,"method":"history","params":{{"group":{group}}}}}"#));
    let history = rpc.json();
    assert_eq!(history["result"][0]["message"], sent["result"]["message"]);
    rpc.write(r#"{"id":3,"method":"shutdown"}"#);
    assert_eq!(rpc.json()["id"], 3);
    assert_eq!(rpc.finish().0, 0);
}

/// A peer that does not exist, with an id as libwaku needs it.
const NOBODY: &str =
    "/ip4/127.0.0.1/tcp/9/p2p/16Uiu2HAkzLwsVcvFyRRGMLWETYYNkp7xeg6PJqzeZfQTvWqfBiWy";

#[test]
fn a_missing_library_is_reported_with_all_places() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("a");
    let nowhere = dir.path().join("libnowhere.so");
    let nowhere = nowhere.to_str().unwrap();
    let no_library = dir.path().join("libother.so");
    std::fs::write(&no_library, "no library").unwrap();
    for (place, words) in
        [(nowhere, "there is no library"), (no_library.to_str().unwrap(), "looked at")]
    {
        let init = ["--json", "init", "--network", "fast", "--libwaku", place];
        let missing = run(&home, &init);
        let error = missing.error();
        assert_eq!((missing.code, error["code"].as_str()), (7, Some("no_libwaku")), "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(place) && message.contains(words), "{message}");
        assert!(error["hint"].as_str().unwrap().contains("LIBWAKU_PATH"));
        assert!(!home.exists(), "an account was made without a node that it can run on");
        // If no option names a library, the variable is used, and nothing else is searched.
        let by_variable = program(&home)
            .env("LIBWAKU_PATH", place)
            .args(["--json", "demo", "--node", "libwaku"])
            .output()
            .unwrap();
        let by_variable = common::Ran::from(by_variable);
        assert_eq!(by_variable.code, 7);
        assert!(by_variable.error()["message"].as_str().unwrap().contains(place));
    }
    // A file that is not libwaku: the program itself has none of its functions.
    let program_itself = env!("CARGO_BIN_EXE_waku-chat");
    let other = run(&home, &["--json", "demo", "--libwaku", program_itself]);
    assert_eq!(other.code, 7, "{}", other.err);

    // Found nowhere: each place is reported. Nothing lies beside this copy of the program.
    let alone = dir.path().join("waku-chat");
    std::fs::copy(program_itself, &alone).unwrap();
    let nothing = std::process::Command::new(&alone)
        .env_remove("LIBWAKU_PATH")
        .args(["--json", "demo", "--node", "libwaku"])
        .output()
        .unwrap();
    let nothing = common::Ran::from(nothing);
    // Unless this system has a libwaku, which the demo then runs on.
    if nothing.code != 0 {
        let message = nothing.error()["message"].as_str().unwrap().to_owned();
        let beside = dir.path().canonicalize().unwrap();
        for place in ["LIBWAKU_PATH", "the running process", "libwaku", beside.to_str().unwrap()] {
            assert!(message.contains(place), "{place}: {message}");
        }
        assert_eq!(nothing.code, 7);
    }
}

#[test]
fn what_libwaku_cannot_do_is_refused() {
    let Some(library) = libwaku() else { return };
    let library = library.as_str();
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("a");
    let (without, _) = NOBODY.rsplit_once("/p2p/").unwrap();
    let args = ["--json", "init", "--network", "fast", "--libwaku", library, "--peer", without];
    let refused = run(&home, &args);
    let error = refused.error();
    assert_eq!((refused.code, error["code"].as_str()), (2, Some("peer_without_id")));
    assert!(error["message"].as_str().unwrap().contains(without));

    // The same for an account that was created for the embedded node.
    let (home, _) = account(dir.path(), "b", Some(without));
    let refused = run(&home, &["--json", "--libwaku", library, "group", "list"]);
    assert_eq!((refused.code, refused.error()["code"].as_str()), (2, Some("peer_without_id")));

    for usage in [
        &["--node", "embedded", "--libwaku", library, "whoami"][..],
        &["node", "--node", "libwaku"],
        &["node", "--libwaku", library],
        &["--node", "nwaku", "whoami"],
    ] {
        assert_eq!(run(&home, usage).code, 2, "{usage:?}");
    }
}

#[test]
fn the_choice_of_a_node_is_kept_and_can_be_overridden() {
    let Some(library) = libwaku() else { return };
    let library = library.as_str();
    let dir = tempfile::tempdir().unwrap();
    let config = |home: &std::path::Path| -> Value {
        serde_json::from_slice(&std::fs::read(home.join("config.json")).unwrap()).unwrap()
    };

    let (embedded, _) = account(dir.path(), "embedded", Some(NOBODY));
    // The default is not written.
    assert!(config(&embedded).get("node").is_none() && config(&embedded).get("libwaku").is_none());

    let home = dir.path().join("a");
    let init = ["--json", "init", "--network", "fast", "--peer", NOBODY, "--libwaku", library];
    assert_eq!(run(&home, &init).json()["node"], "libwaku");
    let kept = config(&home);
    assert_eq!((kept["node"].as_str(), kept["libwaku"].as_str()), (Some("libwaku"), Some(library)));

    // Which node a command runs on is in its log; standard output is for results alone.
    let rpc = |home: &std::path::Path, more: &[&str]| {
        let mut command = program(home);
        command.env_remove("LIBWAKU_PATH").args(["-vv", "rpc"]).args(more);
        let ran = common::Ran::from(command.output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.err);
        for line in ran.out.lines() {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
        }
        assert!(ran.out.contains("ready"), "{}", ran.out);
        ran.err.contains("starting a libwaku node")
    };
    assert!(rpc(&home, &[]));
    assert!(!rpc(&home, &["--node", "embedded"]));
    assert!(!rpc(&embedded, &[]));
    assert!(rpc(&embedded, &["--libwaku", library]));
    // So are the DNS servers, which are for libwaku alone.
    let other = dir.path().join("b");
    let with_dns = [&init[..], &["--dns-server", "192.0.2.1", "--dns-server", "::1"]].concat();
    assert_eq!(run(&other, &with_dns).code, 0);
    assert_eq!(config(&other)["dns_servers"], serde_json::json!(["192.0.2.1", "::1"]));
    assert!(kept.get("dns_servers").is_none());
    assert!(rpc(&other, &["--dns-server", "127.0.0.1"]));
    for args in [&["group", "list"][..], &["node"]] {
        let refused = run(&embedded, &[&["--dns-server", "127.0.0.1"], args].concat());
        assert_eq!(refused.code, 2, "{}", refused.err);
    }
    // Without the network no library is needed.
    let mut moved = kept.clone();
    moved["libwaku"] = "/nowhere/libwaku.so".into();
    std::fs::write(home.join("config.json"), moved.to_string()).unwrap();
    assert_eq!(run(&home, &["--offline", "group", "list"]).code, 0);
    let gone = program(&home).env_remove("LIBWAKU_PATH").args(["group", "list"]).output().unwrap();
    assert_eq!(gone.status.code(), Some(7));
    moved["libwaku"] = "relative.so".into();
    std::fs::write(home.join("config.json"), moved.to_string()).unwrap();
    assert_eq!(run(&home, &["whoami"]).code, 2);
}
