//! Filter and lightpush.

use serde_json::json;

use crate::common::{CONTENT, Host, TOPIC, ask, c, free_port};

#[test]
fn edge_nodes_live_on_filter_and_lightpush() {
    let websocket = free_port();
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
