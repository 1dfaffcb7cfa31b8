//! What tests do with endpoints: options, messages, waiting.

use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use waku_transport::conformance::soon;
use waku_transport::libwaku::{Confirmation, LibwakuOptions, LibwakuTransport, Lookup};
use waku_transport::{Event, EventLimits, Message, Transport};

/// Options for tests: dialling does not take its time, and neither does confirming.
pub(crate) fn options(events: EventLimits) -> LibwakuOptions {
    LibwakuOptions {
        events,
        redial_min: Duration::from_millis(50),
        redial_max: Duration::from_millis(200),
        confirmation: Some(confirmation(Lookup::Time)),
        ..LibwakuOptions::default()
    }
}

/// Asks soon, and for long enough.
pub(crate) fn confirmation(lookup: Lookup) -> Confirmation {
    Confirmation { first: Duration::from_millis(5), tries: 10, lookup }
}

/// Waits until something is so. Nodes tell only part of what happens to them, so this asks.
pub(crate) async fn until<F: Future<Output = bool> + Send>(
    what: &str,
    mut is_so: impl FnMut() -> F,
) {
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let wait = async {
        while !is_so().await {
            again.tick().await;
        }
    };
    soon(what, wait).await;
}

/// Waits until readers of the endpoint's events have heard of the connection.
pub(crate) async fn connected_once(endpoint: &LibwakuTransport) {
    let mut events = endpoint.events();
    let heard = async { while !matches!(events.next().await, Some(Event::Connected { .. })) {} };
    soon("the endpoint says that it is connected", heard).await;
}

/// Follows what an endpoint says of its connection, until its streams end.
pub(crate) fn connection(endpoint: &LibwakuTransport) -> watch::Receiver<bool> {
    let (tell, connected) = watch::channel(false);
    let mut events = endpoint.events();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                Event::Connected { .. } => tell.send_replace(true),
                Event::Disconnected => tell.send_replace(false),
                Event::Message(_) | Event::Missed { .. } => continue,
            };
        }
    });
    connected
}

/// A message of the present.
pub(crate) fn message(payload: impl Into<Vec<u8>>) -> Message {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Message {
        content_topic: TOPIC.to_owned(),
        payload: payload.into().into(),
        timestamp_ns: now.expect("after 1970").as_nanos() as i64,
    }
}

/// Where those messages go.
pub(crate) const TOPIC: &str = "/libwaku/1/test/proto";
