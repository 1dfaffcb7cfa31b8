//! Accounts: created once, opened again, and talking to each other.

use serde_json::{Value, json};
use waku_chat::ffi::*;

use crate::host::{PATIENCE, ack, code, existing, new_account, next_event, ok, open, send, until};

#[test]
fn an_account_is_made_once_and_found_again() {
    let home = tempfile::tempdir().unwrap();
    let database = home.path().join("chat.db");
    let config = new_account(&database);

    let missing = open(&existing(&config));
    assert_eq!(code(missing), (WakuChatCode::Account, "no_account".to_owned()));
    assert!(!database.exists(), "looking for an account leaves nothing behind");

    let client = open(&config).unwrap();
    let identity = ok(client, "identity", Value::Null);
    assert!(identity["account"].as_str().unwrap().starts_with("wkc1"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(database.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Another way to the same file, in the same process.
    assert_eq!(
        code(open(&existing(&config))),
        (WakuChatCode::Database, "database_busy".to_owned())
    );
    assert_eq!(waku_chat_close(client), WakuChatCode::Ok);

    assert_eq!(code(open(&config)), (WakuChatCode::Account, "account_exists".to_owned()));
    let mut wrong = existing(&config);
    wrong["key"] = json!("43".repeat(32));
    assert_eq!(code(open(&wrong)), (WakuChatCode::Database, "database_wrong_key".to_owned()));
    let mut other = existing(&config);
    other["network"] = json!("public");
    assert_eq!(code(open(&other)), (WakuChatCode::Account, "other_network".to_owned()));

    let again = open(&existing(&config)).unwrap();
    assert_ne!(again, client);
    assert_eq!(ok(again, "identity", json!({})), identity);
    assert_eq!(waku_chat_close(again), WakuChatCode::Ok);
}

#[test]
fn an_account_that_cannot_be_made_leaves_no_file() {
    let home = tempfile::tempdir().unwrap();
    let database = home.path().join("chat.db");
    let mut config = new_account(&database);
    config["transport"] = json!({"libwaku": {"library": "/nowhere/libwaku.so", "tcp_port": 1}});
    assert_eq!(code(open(&config)), (WakuChatCode::Node, "no_library".to_owned()));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);

    config["database"] = json!(home.path().join("no such directory/chat.db"));
    assert_eq!(code(open(&config)).0, WakuChatCode::Database);
    config["database"] = json!(home.path());
    config["transport"] = json!({"offline": {}});
    assert_eq!(code(open(&config)).0, WakuChatCode::Database);
}

/// Two accounts on embedded nodes, from the first contact to a message; then what was not
/// acknowledged is told again.
#[test]
fn two_accounts_talk() {
    let home = tempfile::tempdir().unwrap();
    let mut alice = new_account(&home.path().join("alice.db"));
    alice["transport"] = json!({"embedded": {"listen": ["/ip4/127.0.0.1/tcp/0"]}});
    let alice = open(&alice).unwrap();
    let status = ok(alice, "status", Value::Null);
    let peers = status["listen_addresses"].clone();
    assert_eq!(peers.as_array().unwrap().len(), 1);
    assert_eq!(status["connected"], false);

    let mut config = new_account(&home.path().join("bob.db"));
    config["transport"] = json!({"embedded": {"peers": peers}});
    let bob = open(&config).unwrap();
    for client in [alice, bob] {
        assert_eq!(ok(client, "wait_connected", json!({"timeout_ms": PATIENCE})), Value::Null);
    }

    let link = ok(bob, "contact_link", Value::Null);
    let contact = ok(alice, "add_contact", json!({"link": link, "name": "Bob"}));
    let members = [&contact["account"]];
    let group = ok(alice, "create_group", json!({"name": "Two", "members": members}));
    let group = group["id"].as_str().unwrap().to_owned();
    let request = until(bob, "request_received");
    assert_eq!(request["event"]["request"]["group_name"], "Two");
    assert!(ack(bob, request["cursor"].as_u64().unwrap()).is_ok());

    let sent = send(alice, &group, "Ünï\"code\n").unwrap();
    let published = until(alice, "published");
    assert!(published["cursor"].as_u64() > Some(0));
    let history = ok(alice, "history", json!({"group": group}));
    assert_eq!(history[0]["message"], json!(sent));
    assert_eq!(history[0]["text"], "Ünï\"code\n");

    // What was acknowledged is not told again.
    let declined = json!({"request": request["event"]["request"]["id"]});
    assert_eq!(ok(bob, "decline_request", declined), Value::Null);
    assert_eq!(waku_chat_close(bob), WakuChatCode::Ok);
    let bob = open(&existing(&config)).unwrap();
    let mut told = Vec::new();
    while let Some(event) = next_event(bob, 0).unwrap() {
        assert!(event["cursor"].as_u64() > request["cursor"].as_u64());
        told.push(event);
    }
    assert!(told.iter().all(|event| event["event"]["type"] != "request_received"), "{told:?}");

    assert_eq!(waku_chat_close(alice), WakuChatCode::Ok);
    assert_eq!(waku_chat_close(bob), WakuChatCode::Ok);
}

/// What is not acknowledged comes again with the same cursor, and what is does not.
#[test]
fn events_come_again_until_they_are_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let mut config = new_account(&home.path().join("chat.db"));
    config["transport"] = json!({"embedded": {"listen": ["/ip4/127.0.0.1/tcp/0"]}});
    let client = open(&config).unwrap();
    let status = ok(client, "status", Value::Null);
    let mut other = new_account(&home.path().join("other.db"));
    other["transport"] = json!({"embedded": {"peers": status["listen_addresses"]}});
    let other = open(&other).unwrap();
    for client in [client, other] {
        ok(client, "wait_connected", Value::Null);
    }
    let group = ok(client, "create_group", json!({"name": "Alone"}));
    let group = group["id"].as_str().unwrap();
    for text in ["one", "two"] {
        send(client, group, text).unwrap();
    }
    let one = until(client, "published");
    let two = until(client, "published");
    assert!(one["cursor"].as_u64() < two["cursor"].as_u64());
    assert_eq!(waku_chat_close(client), WakuChatCode::Ok);

    let client = open(&existing(&config)).unwrap();
    assert_eq!(until(client, "published"), one);
    assert!(ack(client, one["cursor"].as_u64().unwrap()).is_ok());
    assert_eq!(until(client, "published"), two);
    assert_eq!(waku_chat_close(client), WakuChatCode::Ok);

    let client = open(&existing(&config)).unwrap();
    assert_eq!(until(client, "published"), two);
    assert_eq!(waku_chat_close(client), WakuChatCode::Ok);
    assert_eq!(waku_chat_close(other), WakuChatCode::Ok);
}
