//! Configuration by file and command line, mistakes in it, and the log.

use std::net::TcpListener;
use std::process::Stdio;

use serde_json::Value;

use crate::common::{program, run};
use crate::served::Served;

#[test]
fn a_file_and_the_command_line_make_one_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.toml");
    let text = "# a node for others\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nnetwork = \"fast\"\n\
                store = \"here.sqlite3\"\nretention = \"12h\"\nfilter = true\nmax-per-ip = 8\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let print = |args: &[&str]| {
        let ran = run(dir.path(), args);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out
    };
    let line = ["node", "--config", file, "--print-config", "--filter=false", "--retention", "3d"];
    let printed = print(&line);
    let table: toml::Table = printed.parse().unwrap();
    assert_eq!(table["filter"].as_bool(), Some(false), "the command line goes before the file");
    assert_eq!(table["retention"].as_str(), Some("3d"));
    assert_eq!(table["store"].as_str(), Some("here.sqlite3"), "the file goes before defaults");
    assert_eq!(table["max-per-ip"].as_integer(), Some(8));
    assert_eq!(table["store-size"].as_str(), Some("512MiB"), "defaults are shown too");
    assert!(!dir.path().join("here.sqlite3").exists(), "printing touches nothing");

    let again = dir.path().join("again.toml");
    std::fs::write(&again, &printed).unwrap();
    let again = again.to_str().unwrap();
    assert_eq!(print(&["node", "--config", again, "--print-config"]), printed);
    // With --json as JSON.
    let json: Value =
        serde_json::from_str(&print(&["--json", "node", "--config", again, "--print-config"]))
            .unwrap();
    assert_eq!(json["store-size"], "512MiB");

    // The program reads the example as it is.
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operators/node.toml");
    let table: toml::Table =
        print(&["node", "--config", example, "--print-config"]).parse().unwrap();
    let given: toml::Table = std::fs::read_to_string(example).unwrap().parse().unwrap();
    assert!(given.len() > 5 && given.iter().all(|(key, value)| table[key] == *value));
}

#[test]
fn mistakes_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let fails = |args: &[&str], code: i32, name: &str, words: &[&str]| {
        let all: Vec<&str> = ["--json", "node"].into_iter().chain(args.iter().copied()).collect();
        let ran = run(dir.path(), &all);
        let error = ran.error();
        let text = error["message"].as_str().unwrap();
        assert_eq!((ran.code, error["code"].as_str().unwrap()), (code, name), "{args:?}: {text}");
        for words in words {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert_eq!(ran.out, "");
    };
    let file = path("node.toml");
    for (text, words) in [
        ("listen = [\n  \"/ip4/127.0.0.1/tcp/0\"\nrelay = true\n", ["node.toml", "line 3"]),
        ("relay = true\n\nno-such-key = 1\n", ["line 3", "no-such-key"]),
        ("relay = true\nrelay = false\n", ["line 2", "duplicate key"]),
        ("store-size = \"much\"\n", ["line 1", "512MiB"]),
        ("retention = \"2mo\"\n", ["line 1", "12h"]),
        ("# here\nlisten = [\"nowhere\"]\n", ["line 2", "listen"]),
        ("metrics = \"9060\"\n", ["line 1", "socket address"]),
        ("log-format = \"xml\"\n", ["line 1", "json"]),
        ("shards = [-1]\n", ["line 1", "-1"]),
        ("relay = \"yes\"\n", ["line 1", "boolean"]),
    ] {
        std::fs::write(&file, text).unwrap();
        fails(&["--config", &file], 2, "config", &words);
    }
    std::fs::write(&file, format!("# {}\n", "x".repeat(300_000))).unwrap();
    fails(&["--config", &file], 2, "config", &["larger than"]);
    std::fs::write(&file, b"relay = \xff\n").unwrap();
    fails(&["--config", &file], 1, "file", &["node.toml"]);
    fails(&["--config", &path("none.toml")], 1, "file", &["none.toml"]);
    let free = |more: &[&str], code: i32, name: &str, words: &[&str]| {
        let args: Vec<&str> =
            ["--listen", "/ip4/127.0.0.1/tcp/0"].iter().chain(more).copied().collect();
        fails(&args, code, name, words);
    };
    free(&["--announce", "/ip4/0.0.0.0/tcp/1"], 2, "usage", &["no host"]);
    free(&["--shard", "5000"], 2, "usage", &["1024"]);
    free(&["--log-level", "a=b=c"], 2, "usage", &["log-level"]);
    let store = path("small.sqlite3");
    free(&["--store", &store, "--store-size", "1kB"], 2, "usage", &["512 KiB"]);

    // The node's key: a directory, a file that holds something else, a missing directory.
    std::fs::create_dir(path("directory")).unwrap();
    std::fs::write(path("key"), "0123456789abcdef").unwrap();
    for key in [path("directory"), path("key"), path("none/key")] {
        free(&["--key", &key], 8, "node_key", &["key file", &key]);
    }
    std::fs::write(path("zero"), "0".repeat(64)).unwrap();
    free(&["--key", &path("zero")], 8, "node_key", &["secp256k1"]);
    let shown = run(dir.path(), &["node", "--key", &path("key")]);
    assert!(
        !shown.err.contains("0123456789"),
        "the content of the file is not shown: {}",
        shown.err
    );

    // The Store: the same, and a file that another node uses.
    std::fs::write(path("text"), "this is not a database".repeat(100)).unwrap();
    for store in [path("directory"), path("text"), path("none/store")] {
        free(&["--store", &store], 8, "node_store", &["the Store", &store]);
    }
    assert_eq!(
        std::fs::read(path("text")).unwrap(),
        "this is not a database".repeat(100).into_bytes()
    );
    let store = path("store.sqlite3");
    let first = Served::start(dir.path(), &["--store", &store]);
    free(&["--store", &store], 8, "node_store", &["locked"]);

    // Ports.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let held = TcpListener::bind(taken).unwrap();
    fails(&["--listen", &format!("/ip4/127.0.0.1/tcp/{}", taken.port())], 1, "node", &["listen"]);
    free(&["--metrics", &taken.to_string()], 1, "node_metrics", &[&taken.to_string()]);
    free(&["--metrics", &first.metrics], 1, "node_metrics", &[]);
    drop(held);
    for usage in
        [&["--store", ""][..], &["--metrics", "here"], &["--relay=perhaps"], &["--peer", "x"]]
    {
        let all: Vec<&str> = ["node"].iter().chain(usage).copied().collect();
        assert_eq!(run(dir.path(), &all).code, 2, "{usage:?}");
    }
}

#[test]
fn the_log_is_written_as_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program(dir.path());
    command
        .args(["--json", "node", "--with-stdin", "--listen", "/ip4/127.0.0.1/tcp/0"])
        .args(["--log-level", "info", "--log-format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["fields"]["message"] == "listening"), "{log}");
    assert!(lines.iter().all(|line| line["level"] != "DEBUG"));
}
