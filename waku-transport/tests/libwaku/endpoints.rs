//! What tests do with endpoints: options, messages, waiting.

use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use waku_transport::conformance::soon;
use waku_transport::libwaku::{LibwakuOptions, LibwakuTransport};
use waku_transport::{Confirmation, Event, EventLimits, Message, Transport};

/// Options for tests: short pauses between dials and between queries of the Store.
pub(crate) fn options(events: EventLimits) -> LibwakuOptions {
    LibwakuOptions {
        events,
        redial_min: Duration::from_millis(50),
        redial_max: Duration::from_millis(200),
        confirmation: Some(confirmation()),
        ..LibwakuOptions::default()
    }
}

/// Asks soon, and often enough for a busy machine.
pub(crate) fn confirmation() -> Confirmation {
    let soon = Duration::from_millis(5);
    Confirmation {
        first_min: soon,
        first_max: soon,
        again: soon,
        tries: 10,
        ..Confirmation::fast()
    }
}

/// Waits until a condition holds. Nodes report only some of their changes, so this polls.
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

/// Waits until the endpoint has reported that it is connected.
pub(crate) async fn connected_once(endpoint: &LibwakuTransport) {
    let mut events = endpoint.events();
    let heard = async { while !matches!(events.next().await, Some(Event::Connected { .. })) {} };
    soon("the endpoint says that it is connected", heard).await;
}

/// Follows an endpoint's reports of its connection until its streams end.
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

/// A message with the present time.
pub(crate) fn message(payload: impl Into<Vec<u8>>) -> Message {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Message {
        content_topic: TOPIC.to_owned(),
        payload: payload.into().into(),
        timestamp_ns: now.expect("after 1970").as_nanos() as i64,
    }
}

/// The content topic of [`message`].
pub(crate) const TOPIC: &str = "/libwaku/1/test/proto";
