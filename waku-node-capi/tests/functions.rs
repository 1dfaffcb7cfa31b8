//! What each function answers, on nodes that talk to each other over loopback.

#![allow(unsafe_code)]

mod common;

use common::{CONTENT, Host, PATIENCE, TOPIC, ask, c, slot, tell};
use serde_json::{Value, json};
use waku_node_capi::{RET_OK, abi};

fn nothing() -> *mut std::ffi::c_void {
    std::ptr::null_mut()
}

#[test]
fn names_need_no_node() {
    let (a, b, d) = (c("app"), c("name"), c("proto"));
    assert_eq!(
        ask!(waku_content_topic(nothing(), a.as_ptr(), 2, b.as_ptr(), d.as_ptr())).as_deref(),
        Ok("/app/2/name/proto")
    );
    assert_eq!(ask!(waku_pubsub_topic(nothing(), b.as_ptr())).as_deref(), Ok("/waku/2/name"));
    assert_eq!(ask!(waku_default_pubsub_topic(nothing())).as_deref(), Ok("/waku/2/rs/0/0"));
    assert!(ask!(waku_version(nothing())).expect("a version").starts_with("version / git"));
}

#[test]
fn a_node_lives_twice_and_keeps_its_identity() {
    let host = Host::start(&json!({ "nodekey": "11".repeat(32) }));
    let id = host.id();
    let peers = ask!(waku_get_connected_peers(host.ctx));
    assert_eq!(peers.as_deref(), Ok(""));
    assert_eq!(ask!(waku_start(host.ctx)).as_deref(), Ok(""));
    assert_eq!(ask!(waku_stop(host.ctx)).as_deref(), Ok(""));
    assert_eq!(ask!(waku_stop(host.ctx)).as_deref(), Ok(""));
    let stopped = host.publish(&json!({ "payload": "aGk=", "contentTopic": CONTENT }));
    assert!(stopped.expect_err("stopped").contains("not started"));
    assert_eq!(ask!(waku_start(host.ctx)).as_deref(), Ok(""));
    assert_eq!(host.id(), id);
    let listen = ask!(waku_listen_addresses(host.ctx)).expect("addresses");
    assert_eq!(listen, host.address());
    assert!(ask!(waku_get_my_enr(host.ctx)).expect("a record").starts_with("enr:-"));
    assert!(ask!(waku_get_metrics(host.ctx)).expect("metrics").contains("\nlibp2p_peers 0\n"));
    assert_eq!(ask!(waku_is_online(host.ctx)).as_deref(), Ok("false"));
}

#[test]
fn a_taken_port_is_an_error() {
    let host = Host::start(&json!({}));
    let (second, created) = Host::create(&json!({ "tcpPort": host.port }));
    created.expect("a good configuration");
    assert!(ask!(waku_start(second.ctx)).expect_err("taken").contains("cannot listen"));
}

#[test]
fn messages_travel_and_events_tell_of_them() {
    let (a, b) = (Host::start(&json!({})), Host::start(&json!({})));
    a.join(&b);
    let hash = a
        .publish(&json!({
            "payload": "aGVsbG8=", "contentTopic": CONTENT, "timestamp": "1700000000000000001",
            "version": 1, "meta": "bWV0YQ==", "ephemeral": true,
        }))
        .expect("published");
    assert!(hash.len() == 66 && hash.starts_with("0x"), "{hash}");
    let expected = json!({
        "eventType": "message", "pubsubTopic": TOPIC, "messageHash": hash,
        "wakuMessage": {
            "payload": "aGVsbG8=", "contentTopic": CONTENT, "version": 1,
            "timestamp": 1_700_000_000_000_000_001_i64, "ephemeral": true, "meta": "bWV0YQ==",
            "proof": "",
        },
    });
    assert_eq!(b.message(), expected);
    assert_eq!(a.message(), expected, "a publisher gets its own message");

    // The same again was seen; it is told all the same.
    let again = json!({
        "payload": "aGVsbG8=", "contentTopic": CONTENT, "timestamp": 1_700_000_000_000_000_001_i64,
        "version": 1, "meta": "bWV0YQ==", "ephemeral": true,
    });
    assert!(a.publish(&again).expect_err("a duplicate").ends_with(": NoPeersToPublish"));
    assert_eq!(a.message(), expected);

    // Without a timestamp the answer is still the hash of what was sent.
    let hash = a.publish(&json!({ "payload": "aGk=", "contentTopic": CONTENT })).expect("sent");
    let got = b.message();
    assert_eq!(got["messageHash"], hash);
    assert!(got["wakuMessage"]["timestamp"].as_i64().expect("a number") > 0);

    for (bad, why) in [
        (
            json!({ "contentTopic": CONTENT }),
            "Error parsing json message: Missing required field in WakuMessage: payload",
        ),
        (
            json!({ "payload": "aGk=" }),
            "Error parsing json message: Missing required field in WakuMessage: contentTopic",
        ),
        (
            json!({ "payload": "???", "contentTopic": CONTENT }),
            "Problem building the WakuMessage: invalid payload format: incorrect base64 string",
        ),
        (json!({ "payload": 7, "contentTopic": CONTENT }), "payload"),
        (json!({ "payload": "aGk=", "contentTopic": CONTENT, "timestamp": "x" }), "timestamp"),
        (json!({ "payload": "aGk=", "contentTopic": CONTENT, "version": -1 }), "version"),
        (json!({ "payload": "aGk=", "contentTopic": "flat" }), "content topic"),
        (json!({ "payload": "", "contentTopic": CONTENT }), "payload"),
        (json!({ "payload": "AAAA".repeat(60_000), "contentTopic": CONTENT }), "bytes"),
        (json!([]), "not an object"),
    ] {
        let error = a.publish(&bad).expect_err("bad");
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn a_lonely_publisher_hears_itself() {
    let host = Host::start(&json!({}));
    let message = json!({ "payload": "aGk=", "contentTopic": CONTENT, "timestamp": 5 });
    assert!(host.publish(&message).expect_err("alone").ends_with(": NoPeersToPublish"));
    assert_eq!(host.message()["wakuMessage"]["timestamp"], 5);
}

#[test]
fn subscriptions_hold_from_before_the_start_on() {
    let other = c("/waku/2/rs/66/5");
    let (a, created) = Host::create(&json!({ "shards": [0] }));
    created.expect("good");
    assert_eq!(ask!(waku_relay_subscribe(a.ctx, other.as_ptr())).as_deref(), Ok(""));
    let foreign = c("/waku/2/rs/67/5");
    assert!(ask!(waku_relay_subscribe(a.ctx, foreign.as_ptr())).is_err());
    ask!(waku_start(a.ctx)).expect("started");
    assert!(ask!(waku_relay_subscribe(a.ctx, foreign.as_ptr())).is_err());
    let b = Host::start(&json!({ "shards": [5] }));
    b.connect(&a);
    b.event(|e| e["pubsubTopic"] == "/waku/2/rs/66/5" && e["topicHealth"] == "MinimallyHealthy");
    let count = ask!(waku_relay_get_num_connected_peers(b.ctx, other.as_ptr()));
    assert_eq!(count.as_deref(), Ok("1"));
    assert_eq!(ask!(waku_relay_unsubscribe(a.ctx, other.as_ptr())).as_deref(), Ok(""));
    b.event(|e| e["pubsubTopic"] == "/waku/2/rs/66/5" && e["topicHealth"] == "UnHealthy");
}

#[test]
fn peers_are_told_of() {
    let (a, b) = (Host::start(&json!({})), Host::start(&json!({})));
    let (topic, all) = (c(TOPIC), c(""));
    let nobody = ask!(waku_relay_get_num_connected_peers(a.ctx, topic.as_ptr()));
    let words = "libwaku error: handleRes fireSyncRes error: getNumConnectedPeers - failed retrieving \
                 peers in mesh: /waku/2/rs/66/0: getConnectedPeers - there is no gossipsub peer for \
                 the given pubsub topic: /waku/2/rs/66/0";
    assert_eq!(nobody.expect_err("nobody"), words);
    let nobody = ask!(waku_relay_get_connected_peers(a.ctx, topic.as_ptr())).expect_err("nobody");
    assert!(words.ends_with(nobody.rsplit(": getConnected").next().expect("some")), "{nobody}");
    assert_eq!(ask!(waku_relay_get_num_peers_in_mesh(a.ctx, topic.as_ptr())).as_deref(), Ok("0"));
    assert_eq!(ask!(waku_relay_get_peers_in_mesh(a.ctx, topic.as_ptr())).as_deref(), Ok(""));
    assert_eq!(ask!(waku_relay_get_num_connected_peers(a.ctx, all.as_ptr())).as_deref(), Ok("0"));
    a.connect(&b);
    let event = |what: &str| {
        json!({
            "eventType": "connection_change", "peerId": b.id(), "peerEvent": what
        })
    };
    let health = json!({
        "eventType": "relay_topic_health_change", "pubsubTopic": TOPIC,
        "topicHealth": "MinimallyHealthy",
    });
    // They come in either order.
    let first = a.event(|_| true);
    let second = a.event(|_| true);
    let told = [first, second];
    assert!(told.contains(&event("Joined")) && told.contains(&health), "{told:?}");
    assert_eq!(ask!(waku_is_online(a.ctx)).as_deref(), Ok("true"));
    let b_id = b.id();
    for text in [topic.as_ptr(), all.as_ptr(), std::ptr::null()] {
        for answer in [
            ask!(waku_relay_get_num_connected_peers(a.ctx, text)),
            ask!(waku_relay_get_num_peers_in_mesh(a.ctx, text)),
        ] {
            assert_eq!(answer.as_deref(), Ok("1"));
        }
        for answer in [
            ask!(waku_relay_get_connected_peers(a.ctx, text)),
            ask!(waku_relay_get_peers_in_mesh(a.ctx, text)),
        ] {
            assert_eq!(answer.as_ref(), Ok(&b_id));
        }
    }
    let (relay, none) = (c("/vac/waku/relay/2.0.0"), c("/none/1"));
    assert_eq!(ask!(waku_get_peerids_by_protocol(a.ctx, relay.as_ptr())).as_ref(), Ok(&b_id));
    assert_eq!(ask!(waku_get_peerids_by_protocol(a.ctx, none.as_ptr())).as_deref(), Ok(""));
    assert_eq!(ask!(waku_get_connected_peers(a.ctx)).as_ref(), Ok(&b_id));
    assert_eq!(ask!(waku_get_peerids_from_peerstore(a.ctx)).as_ref(), Ok(&b_id));
    let info = ask!(waku_get_connected_peers_info(a.ctx)).expect("JSON");
    let info: Value = serde_json::from_str(&info).expect("JSON");
    assert!(info[&b_id]["addresses"][0].as_str().expect("one").contains(&b.port.to_string()));
    assert!(
        info[&b_id]["protocols"].as_array().expect("a list").contains(&json!("/ipfs/id/1.0.0"))
    );

    let (id, address) = (c(&b_id), c(&b.address()));
    let (ctx, id, address) = (a.ctx, id.as_ptr(), address.as_ptr());
    assert_eq!(ask!(waku_dial_peer(ctx, address, relay.as_ptr(), 0)).as_deref(), Ok(""));
    let not_served = ask!(waku_dial_peer(ctx, address, none.as_ptr(), 0)).expect_err("not served");
    assert!(not_served.contains("error: failed dialing peer: "), "{not_served}");
    assert_eq!(ask!(waku_dial_peer_by_id(ctx, id, relay.as_ptr(), 0)).as_deref(), Ok(""));
    assert_eq!(ask!(waku_disconnect_peer_by_id(ctx, id)).as_deref(), Ok(""));
    assert_eq!(a.event(|e| e["eventType"] == "connection_change"), event("Left"));
    // The address is remembered.
    assert_eq!(ask!(waku_dial_peer_by_id(ctx, id, relay.as_ptr(), 0)).as_deref(), Ok(""));
    assert_eq!(a.event(|e| e["eventType"] == "connection_change"), event("Joined"));
    assert_eq!(ask!(waku_disconnect_all_peers(ctx)).as_deref(), Ok(""));
    assert_eq!(a.event(|e| e["eventType"] == "connection_change"), event("Left"));
}

#[test]
fn connecting_tells_the_truth() {
    let (a, b) = (Host::start(&json!({})), Host::start(&json!({})));
    let gone = format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", common::free_port(), b.id());
    let both = c(&format!("{gone}, {}", b.address()));
    assert!(ask!(waku_connect(a.ctx, c(&gone).as_ptr(), 0)).expect_err("gone").contains("connect"));
    assert_eq!(ask!(waku_connect(a.ctx, both.as_ptr(), 20_000)).as_deref(), Ok(""));
    assert!(ask!(waku_connect(a.ctx, c("/ip4/127.0.0.1").as_ptr(), 0)).is_err());
}

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
            not_asked("BAD_REQUEST: the cursor is no message of this Store"),
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
    let gone = c(&format!(
        "/ip4/127.0.0.1/tcp/{}/p2p/{}",
        common::free_port(),
        Host::start(&json!({})).id()
    ));
    let gone = ask!(waku_store_query(store.ctx, q.as_ptr(), gone.as_ptr(), 0)).expect_err("gone");
    assert!(gone.contains("StoreRequest failed store query: PEER_DIAL_FAILURE: "), "{gone}");
    let nowhere = ask!(waku_store_query(store.ctx, q.as_ptr(), c("nowhere").as_ptr(), 0));
    assert!(nowhere.expect_err("no address").contains("StoreRequest failed to parse peer addr: "));
    let two = c(&format!("{},{}", store.address(), client.address()));
    let two = ask!(waku_store_query(client.ctx, q.as_ptr(), two.as_ptr(), 0)).expect_err("two");
    assert!(two.ends_with("Error in parsePeerInfo: multiple peerIds received"), "{two}");
}

#[test]
fn what_is_not_served_says_so() {
    let host = Host::start(&json!({}));
    let (ctx, text) = (host.ctx, c(TOPIC));
    let text = text.as_ptr();
    for (what, answer) in [
        ("protected", ask!(waku_relay_add_protected_shard(ctx, 66, 0, text.cast_mut()))),
        ("DNS", ask!(waku_dns_discovery(ctx, text, text, 1000))),
        ("discovery v5", ask!(waku_discv5_update_bootnodes(ctx, text.cast_mut()))),
        ("discovery v5", ask!(waku_start_discv5(ctx))),
        ("discovery v5", ask!(waku_stop_discv5(ctx))),
        ("peer exchange", ask!(waku_peer_exchange_request(ctx, 1))),
    ] {
        let error = answer.expect_err("not served");
        assert!(error.contains(what) && error.contains("served by this node"), "{error}");
    }
    let relayless = Host::start(&json!({ "relay": false }));
    let error = ask!(waku_relay_subscribe(relayless.ctx, text)).expect_err("no relay");
    assert!(error.contains("without Waku Relay"), "{error}");
}

#[test]
fn edge_nodes_live_on_filter_and_lightpush() {
    let websocket = common::free_port();
    let server = Host::start(&json!({
        "filter": true, "lightpush": true, "websocketSupport": true, "websocketPort": websocket
    }));
    let relay = Host::start(&json!({}));
    relay.join(&server);
    let edge = Host::start(&json!({ "relay": false }));
    let (topic, content) = (c(TOPIC), c(&format!("{CONTENT}, /test/1/b/proto")));
    let (topic, contents) = (topic.as_ptr(), content.as_ptr());
    let message = json!({ "payload": "aGk=", "contentTopic": CONTENT });
    let pushed = c(&message.to_string());
    let no_filter = "could not find peer with WakuFilterSubscribeCodec when ";
    for (nobody, told) in [
        (ask!(waku_filter_subscribe(edge.ctx, topic, contents)), format!("{no_filter}subscribing")),
        (
            ask!(waku_filter_unsubscribe(edge.ctx, topic, contents)),
            format!("{no_filter}unsubscribing"),
        ),
        (ask!(waku_filter_unsubscribe_all(edge.ctx)), format!("{no_filter}unsubscribing all")),
        (
            ask!(waku_lightpush_publish(edge.ctx, topic, pushed.as_ptr())),
            "failed to lightpublish message, no suitable remote peers".to_owned(),
        ),
    ] {
        let told = format!("libwaku error: handleRes fireSyncRes error: {told}");
        assert_eq!(nobody, Err(told));
    }
    let listen = ask!(waku_listen_addresses(server.ctx)).expect("addresses");
    let over_websocket = listen.split(',').find(|a| a.contains("/ws/")).expect("one of them");
    assert!(over_websocket.contains(&websocket.to_string()));
    ask!(waku_connect(edge.ctx, c(over_websocket).as_ptr(), 0)).expect("a connection");
    assert_eq!(ask!(waku_filter_subscribe(edge.ctx, topic, contents)).as_deref(), Ok(""));
    let hash = relay.publish(&message).expect("published");
    assert_eq!(edge.message()["messageHash"], hash);
    assert_eq!(relay.message()["messageHash"], hash, "its own");
    let hash = ask!(waku_lightpush_publish(edge.ctx, topic, pushed.as_ptr())).expect("pushed");
    assert_eq!(relay.message()["messageHash"], hash);
    assert_eq!(ask!(waku_filter_unsubscribe(edge.ctx, topic, contents)).as_deref(), Ok(""));
    assert_eq!(ask!(waku_filter_unsubscribe_all(edge.ctx)).as_deref().unwrap_or(""), "");
}

#[test]
fn a_ping_is_answered_in_nanoseconds() {
    let (a, b) = (Host::start(&json!({})), Host::start(&json!({})));
    let failed = "libwaku error: handleRes fireSyncRes error: ";
    // It dials, and then the connection is there.
    for _ in 0..3 {
        let took = ask!(waku_ping_peer(a.ctx, c(&b.address()).as_ptr(), 20_000)).expect("a time");
        assert!(took.parse::<u64>().expect("a number alone") > 0);
    }
    assert_eq!(ask!(waku_get_connected_peers(a.ctx)), Ok(b.id()));
    assert!(ask!(waku_ping_peer(a.ctx, c(&b.address()).as_ptr(), 0)).is_ok(), "no limit");
    let nowhere = ask!(waku_ping_peer(a.ctx, c("x").as_ptr(), 0)).expect_err("no address");
    assert!(nowhere.starts_with(&format!("{failed}PingRequest failed to parse peer addr: ")));
    let two = c(&format!("{},{}", a.address(), b.address()));
    assert!(ask!(waku_ping_peer(a.ctx, two.as_ptr(), 0)).expect_err("two").contains("multiple"));
    let gone = format!(
        "/ip4/127.0.0.1/tcp/{}/p2p/{}",
        common::free_port(),
        "16Uiu2HAm4v86W3bmT1BiH6oSPzcsSr24iDQpSN5Qa992BCjjwgrD"
    );
    let gone = ask!(waku_ping_peer(a.ctx, c(&gone).as_ptr(), 0)).expect_err("gone");
    assert!(gone.starts_with(&format!("{failed}could not ping peer: ")), "{gone}");
    // Somebody who takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let address = c(&format!("/ip4/127.0.0.1/tcp/{port}/p2p/{}", Host::start(&json!({})).id()));
    let late = ask!(waku_ping_peer(a.ctx, address.as_ptr(), 50));
    assert_eq!(late, Err(format!("{failed}ping timed out")));
}

#[test]
fn events_may_change_hands() {
    let host = Host::start(&json!({}));
    let message = json!({ "payload": "aGk=", "contentTopic": CONTENT });
    let (data, second) = slot();
    // SAFETY: a callback and a number.
    unsafe { abi::waku_set_event_callback(host.ctx, Some(tell), data) };
    host.publish(&message).expect_err("alone");
    let (ret, event) = second.recv_timeout(PATIENCE).expect("an event");
    assert_eq!(ret, RET_OK);
    assert!(event.contains("\"message\""));
    // SAFETY: as above; nobody hears of anything now.
    unsafe { abi::waku_set_event_callback(host.ctx, None, nothing()) };
    host.publish(&message).expect_err("alone");
    // SAFETY: as above.
    unsafe { abi::waku_set_event_callback(host.ctx, Some(tell), data) };
    host.publish(&json!({ "payload": "bGFzdA==", "contentTopic": CONTENT })).expect_err("alone");
    let (_, event) = second.recv_timeout(PATIENCE).expect("an event");
    assert!(event.contains("bGFzdA=="), "{event}");
}
