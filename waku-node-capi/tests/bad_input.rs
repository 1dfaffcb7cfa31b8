//! Whatever text comes in, there is one answer, and the node lives on.

#![allow(unsafe_code)]

mod common;

use std::ffi::CString;
use std::sync::LazyLock;

use common::{CONTENT, Host, TOPIC, ask, c};
use proptest::prelude::*;
use serde_json::json;

/// Contexts may be used from any thread.
struct Shared(Host);
// SAFETY: the pointer is a number to the library, and events are not read here.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

static HOST: LazyLock<Shared> =
    LazyLock::new(|| Shared(Host::start(&json!({ "store": true, "storeMessageDbUrl": "" }))));

fn text() -> impl Strategy<Value = CString> {
    let json = prop_oneof![
        Just(String::from(r#"{"payload":"aGk=","contentTopic":"/a/1/b/c"}"#)),
        Just(String::from(r#"{"requestId":"","includeData":true,"paginationForward":true}"#)),
        ("payload|meta|timestamp|version|proof", "[-0-9a-z\"\\[\\]{}.=]{0,20}").prop_map(
            |(key, value)| format!(
                r#"{{"payload":"aGk=","contentTopic":"/a/1/b/c","{key}":{value}}}"#
            )
        ),
        (
            "requestId|contentTopics|messageHashes|timeEnd|paginationLimit",
            "[-0-9a-z\"\\[\\]]{0,20}"
        )
            .prop_map(|(key, value)| format!(
                r#"{{"requestId":"","includeData":true,"paginationForward":true,"{key}":{value}}}"#
            )),
        "\\PC{0,60}",
        "(/ip4/127\\.0\\.0\\.1/tcp/[0-9]{1,6}(/p2p/[A-Za-z0-9]{0,52})?,?){0,3}",
        "/waku/2/rs/[0-9]{1,6}/[0-9]{1,6}",
    ];
    prop_oneof![
        9 => json.prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..60),
    ]
    .prop_map(|mut bytes| {
        bytes.retain(|b| *b != 0);
        CString::new(bytes).expect("no zero bytes are left")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_answered(a in text(), b in text()) {
        let (ctx, a, b) = (HOST.0.ctx, a.as_ptr(), b.as_ptr());
        let answers = [
            ask!(waku_content_topic(ctx, a, 1, b, a)),
            ask!(waku_pubsub_topic(ctx, a)),
            ask!(waku_relay_publish(ctx, a, b, 0)),
            ask!(waku_lightpush_publish(ctx, a, b)),
            ask!(waku_relay_subscribe(ctx, a)),
            ask!(waku_relay_unsubscribe(ctx, a)),
            ask!(waku_relay_get_num_connected_peers(ctx, a)),
            ask!(waku_relay_get_connected_peers(ctx, a)),
            ask!(waku_relay_get_num_peers_in_mesh(ctx, a)),
            ask!(waku_relay_get_peers_in_mesh(ctx, a)),
            ask!(waku_filter_subscribe(ctx, a, b)),
            ask!(waku_filter_unsubscribe(ctx, a, b)),
            ask!(waku_store_query(ctx, a, b, 2000)),
            ask!(waku_connect(ctx, a, 2000)),
            ask!(waku_disconnect_peer_by_id(ctx, a)),
            ask!(waku_dial_peer(ctx, a, b, 2000)),
            ask!(waku_dial_peer_by_id(ctx, a, b, 2000)),
            ask!(waku_get_peerids_by_protocol(ctx, a)),
        ];
        // `ask!` has checked that each is one answer of the right shape.
        prop_assert_eq!(answers.len(), 18);
        let alive = ask!(waku_get_my_peerid(ctx));
        prop_assert!(alive.is_ok());
    }
}

#[test]
fn the_own_archive_can_be_asked() {
    let host = Host::start(&json!({ "store": true, "storeMessageDbUrl": "sqlite://:memory:" }));
    let message = json!({ "payload": "aGk=", "contentTopic": CONTENT });
    // Nobody is there, so nothing is sent, and nothing archived.
    host.publish(&message).expect_err("alone");
    let query = c(&json!({
        "requestId": "own", "includeData": true, "paginationForward": false, "pubsubTopic": TOPIC
    })
    .to_string());
    let page = ask!(waku_store_query(host.ctx, query.as_ptr(), c(&host.address()).as_ptr(), 0));
    let page: serde_json::Value = serde_json::from_str(&page.expect("a page")).expect("JSON");
    assert_eq!(page["requestId"], "own");
    assert!(page["messages"].is_array());
}
