//! Names, creating and starting nodes, and what is not served.

use serde_json::json;

use crate::common::{CONTENT, Host, TOPIC, ask, c};
use crate::nothing;

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
