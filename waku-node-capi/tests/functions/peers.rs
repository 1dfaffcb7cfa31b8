//! Connections with peers, and pings.

use serde_json::{Value, json};

use crate::common::{Host, TOPIC, ask, c, free_port};

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
        free_port(),
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
fn connecting_tells_the_truth() {
    let (a, b) = (Host::start(&json!({})), Host::start(&json!({})));
    let gone = format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", free_port(), b.id());
    let both = c(&format!("{gone}, {}", b.address()));
    assert!(ask!(waku_connect(a.ctx, c(&gone).as_ptr(), 0)).expect_err("gone").contains("connect"));
    assert_eq!(ask!(waku_connect(a.ctx, both.as_ptr(), 20_000)).as_deref(), Ok(""));
    assert!(ask!(waku_connect(a.ctx, c("/ip4/127.0.0.1").as_ptr(), 0)).is_err());
}
