//! History.

use serde_json::{Value, json};

use crate::common::{CONTENT, Host, TOPIC, ask, c, free_port};

#[test]
fn history_is_asked_for_page_by_page() {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite://{}/store.sqlite3", dir.path().display());
    let store = Host::start(&json!({ "store": true, "storeMessageDbUrl": url }));
    let client = Host::start(&json!({}));
    client.join(&store);
    let hashes: Vec<_> = (0..5)
        .map(|n| {
            let payload = ["AAA=", "AQE=", "AgI=", "AwM=", "BAQ="][n];
            client.publish(&json!({ "payload": payload, "contentTopic": CONTENT })).expect("sent")
        })
        .collect();
    (0..5).for_each(|_| drop(store.message()));
    let address = c(&store.address());
    let query = |q: &Value| {
        let answer = ask!(waku_store_query(
            client.ctx,
            c(&q.to_string()).as_ptr(),
            address.as_ptr(),
            20_000
        ))?;
        Ok::<Value, String>(serde_json::from_str(&answer).expect("JSON"))
    };
    let mut ask_for = json!({
        "requestId": "mine", "includeData": true, "paginationForward": true,
        "pubsubTopic": TOPIC, "contentTopics": [CONTENT], "paginationLimit": 3,
    });
    // Writing is not awaited by relay.
    let mut page = Value::Null;
    for _ in 0..200 {
        page = query(&ask_for).expect("a page");
        let more = json!({
            "requestId": "", "includeData": false, "paginationForward": true, "messageHashes": hashes
        });
        if query(&more).expect("a page")["messages"].as_array().is_some_and(|m| m.len() == 5) {
            page = query(&ask_for).expect("a page");
            break;
        }
    }
    assert_eq!(page["requestId"], "mine");
    assert_eq!((page["statusCode"].as_u64(), page["statusDesc"].as_str()), (Some(200), Some("OK")));
    assert_eq!(page["messages"].as_array().expect("a list").len(), 3);
    let first = &page["messages"][0];
    assert_eq!(first["messageHash"], hashes[0]);
    assert_eq!(first["pubsubTopic"], TOPIC);
    assert_eq!(first["message"]["payload"], json!([0, 0]), "bytes, not base64");
    assert_eq!(first["message"]["meta"], json!([]));
    assert_eq!(first["message"]["contentTopic"], CONTENT);
    assert_eq!(page["paginationCursor"], hashes[2]);
    ask_for["paginationCursor"] = page["paginationCursor"].clone();
    let rest = query(&ask_for).expect("a page");
    assert_eq!(rest["messages"].as_array().expect("a list").len(), 2);
    assert_eq!(rest["paginationCursor"], Value::Null);

    for (key, value) in [
        ("requestId", None),
        ("includeData", None),
        ("paginationForward", None),
        ("paginationCursor", Some(json!(""))),
        ("paginationLimit", Some(json!(-1))),
        ("timeStart", Some(json!([]))),
        ("contentTopics", Some(json!([7]))),
    ] {
        let mut bad = ask_for.clone();
        match value {
            Some(value) => bad[key] = value,
            None => drop(bad.as_object_mut().expect("an object").remove(key)),
        }
        assert!(query(&bad).expect_err("bad").contains(key), "{key}");
    }
    let failed = |what: &str| Err(format!("libwaku error: handleRes fireSyncRes error: {what}"));
    let not_read = |why: &str| failed(&format!("StoreRequest failed parsing store request: {why}"));
    assert_eq!(query(&json!([])), not_read("the JSON is not an object"));
    let not_asked = |why: &str| failed(&format!("StoreRequest failed store query: {why}"));
    for (key, value, answer) in [
        ("requestId", json!(7), not_read("requestId must be a string")),
        ("timeEnd", json!("soon"), not_read("Invalid int64 value in `timeEnd`")),
        (
            "messageHashes",
            json!(["0x00"]),
            failed(
                "Failed converting message hash hex string to bytes: 0x00 is not a message hash",
            ),
        ),
        (
            "paginationCursor",
            json!("x"),
            failed(
                "Failed converting paginationCursor hex string to bytes: x is not a message hash",
            ),
        ),
        (
            "paginationCursor",
            json!(format!("0x{}", "00".repeat(32))),
            not_asked("BAD_REQUEST: invalid cursor"),
        ),
        // The Store's own word; it names no reason of ours.
        (
            "paginationCursor",
            json!(format!("0x{}", "77".repeat(32))),
            not_asked("BAD_REQUEST: the cursor is not a message of this Store"),
        ),
    ] {
        let mut bad = ask_for.clone();
        bad[key] = value;
        assert_eq!(query(&bad), answer, "{key}");
    }
    // Without an id of the host's there is one all the same.
    ask_for["requestId"] = json!("");
    assert!(
        query(&ask_for).expect("a page")["requestId"].as_str().is_some_and(|id| id.len() == 16)
    );

    // Who keeps no archive says so.
    let q =
        c(&json!({ "requestId": "", "includeData": true, "paginationForward": true }).to_string());
    let own = c(&client.address());
    let refused = ask!(waku_store_query(store.ctx, q.as_ptr(), own.as_ptr(), 0));
    assert_eq!(
        refused.map(Value::String),
        not_asked("PEER_DIAL_FAILURE: the peer does not offer Store v3")
    );
    let gone =
        c(&format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", free_port(), Host::start(&json!({})).id()));
    let gone = ask!(waku_store_query(store.ctx, q.as_ptr(), gone.as_ptr(), 0)).expect_err("gone");
    assert!(gone.contains("StoreRequest failed store query: PEER_DIAL_FAILURE: "), "{gone}");
    let nowhere = ask!(waku_store_query(store.ctx, q.as_ptr(), c("nowhere").as_ptr(), 0));
    assert!(nowhere.expect_err("no address").contains("StoreRequest failed to parse peer addr: "));
    let two = c(&format!("{},{}", store.address(), client.address()));
    let two = ask!(waku_store_query(client.ctx, q.as_ptr(), two.as_ptr(), 0)).expect_err("two");
    assert!(two.ends_with("Error in parsePeerInfo: multiple peerIds received"), "{two}");
}
