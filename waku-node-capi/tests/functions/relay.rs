//! Publishing, subscribing, and events.

use serde_json::json;
use waku_node_capi::{RET_OK, abi};

use crate::common::{CONTENT, Host, PATIENCE, TOPIC, ask, c, slot, tell};
use crate::nothing;

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
    let b = Host::start(&json!({ "shards": [5], "numShardsInNetwork": 8 }));
    b.connect(&a);
    b.event(|e| e["pubsubTopic"] == "/waku/2/rs/66/5" && e["topicHealth"] == "MinimallyHealthy");
    let count = ask!(waku_relay_get_num_connected_peers(b.ctx, other.as_ptr()));
    assert_eq!(count.as_deref(), Ok("1"));
    assert_eq!(ask!(waku_relay_unsubscribe(a.ctx, other.as_ptr())).as_deref(), Ok(""));
    b.event(|e| e["pubsubTopic"] == "/waku/2/rs/66/5" && e["topicHealth"] == "UnHealthy");
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
