//! Filter and lightpush, which a node without relay depends on.

use super::arguments::{message, split};
use super::call::functions;
use crate::requests::Request;

functions! {
    request;

    /// Has a peer that serves filter send the messages of content topics, separated by commas; they
    /// arrive as events. The answer is empty.
    fn waku_filter_subscribe(pubSubTopic: text, contentTopics: text) {
        Ok(Request::FilterSubscribe { topic: pubSubTopic, contents: split(&contentTopics) })
    }

    /// Ends filter subscriptions to content topics, separated by commas. The answer is empty.
    fn waku_filter_unsubscribe(pubSubTopic: text, contentTopics: text) {
        Ok(Request::FilterUnsubscribe { topic: pubSubTopic, contents: split(&contentTopics) })
    }

    /// Ends all filter subscriptions. The answer is empty.
    fn waku_filter_unsubscribe_all() {
        Ok(Request::FilterUnsubscribeAll)
    }

    /// Has a peer that serves lightpush publish a message. Answers with its hash.
    fn waku_lightpush_publish(pubSubTopic: text, jsonWakuMessage: text) {
        Ok(Request::Lightpush { topic: pubSubTopic, message: message(&jsonWakuMessage)? })
    }
}
