//! Every parser takes any bytes, and gives back what was encoded.
#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use waku_node::store_wire::{
    Response, decode_request, decode_response, encode_request, encode_response,
};
use waku_node::{
    Bytes, MAX_FILTER_TOPICS, MAX_PAGE, MessageHash, Metadata, StoreQuery, StoredMessage,
    WakuMessage, message_hash, parse_content_topic, parse_pubsub_topic, pubsub_topic, shard_for,
};
use waku_node::{filter_wire, lightpush_wire};

fn bytes(size: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), size).prop_map(Bytes::from)
}

fn message() -> impl Strategy<Value = WakuMessage> {
    (
        bytes(1..2000),
        "/[a-z]{1,10}/[0-9]{1,3}/[^/]{1,20}/(proto|plain)",
        any::<u32>(),
        option::of(any::<i64>()),
        option::of(bytes(0..=64)),
        option::of(any::<bool>()),
        option::of(bytes(0..300)),
    )
        .prop_map(
            |(payload, content_topic, version, timestamp, meta, ephemeral, rate_limit_proof)| {
                WakuMessage {
                    payload,
                    content_topic,
                    version,
                    timestamp,
                    meta,
                    ephemeral,
                    rate_limit_proof,
                }
            },
        )
}

fn hash() -> impl Strategy<Value = MessageHash> {
    any::<[u8; 32]>().prop_map(MessageHash)
}

fn query() -> impl Strategy<Value = StoreQuery> {
    (
        any::<bool>(),
        option::of(".{1,40}"),
        vec(".{0,40}", 0..20),
        (option::of(any::<i64>()), option::of(any::<i64>())),
        vec(hash(), 0..20),
        option::of(hash()),
        any::<bool>(),
        option::of(any::<u64>()),
    )
        .prop_map(
            |(
                include_data,
                pubsub_topic,
                content_topics,
                times,
                hashes,
                cursor,
                forward,
                limit,
            )| StoreQuery {
                include_data,
                pubsub_topic,
                content_topics,
                time_start: times.0,
                time_end: times.1,
                hashes,
                cursor,
                forward,
                limit,
            },
        )
}

fn response() -> impl Strategy<Value = Response> {
    let stored = (hash(), option::of(message()), option::of(".{0,40}"))
        .prop_map(|(hash, message, pubsub_topic)| StoredMessage { hash, message, pubsub_topic });
    ("[a-z0-9]{0,32}", any::<u32>(), "[ -~]{0,60}", vec(stored, 0..10), option::of(hash()))
        .prop_map(|(request_id, status_code, status_desc, messages, cursor)| Response {
            request_id,
            status_code,
            status_desc,
            messages,
            unreadable: 0,
            cursor,
        })
}

fn filter_request() -> impl Strategy<Value = filter_wire::FilterRequest> {
    use filter_wire::FilterKind::{Ping, Subscribe, Unsubscribe, UnsubscribeAll};
    let kind = prop::sample::select(vec![Ping, Subscribe, Unsubscribe, UnsubscribeAll]);
    ("[a-z0-9]{0,64}", kind, option::of(".{1,40}"), vec(".{0,40}", 0..20)).prop_map(
        |(request_id, kind, pubsub_topic, content_topics)| filter_wire::FilterRequest {
            request_id,
            kind,
            pubsub_topic,
            content_topics,
        },
    )
}

fn filter_response() -> impl Strategy<Value = filter_wire::FilterResponse> {
    ("[a-z0-9]{0,64}", any::<u32>(), "[ -~]{0,60}").prop_map(
        |(request_id, status_code, status_desc)| filter_wire::FilterResponse {
            request_id,
            status_code,
            status_desc,
        },
    )
}

fn lightpush_request() -> impl Strategy<Value = lightpush_wire::LightpushRequest> {
    ("[a-z0-9]{0,64}", option::of(".{1,40}"), message()).prop_map(
        |(request_id, pubsub_topic, message)| lightpush_wire::LightpushRequest {
            request_id,
            pubsub_topic,
            message,
        },
    )
}

fn lightpush_response() -> impl Strategy<Value = lightpush_wire::LightpushResponse> {
    let status = prop_oneof![Just(200), any::<u32>()];
    ("[a-z0-9]{0,64}", status, option::of("[ -~]{0,60}"), option::of(any::<u32>())).prop_map(
        |(request_id, status_code, status_desc, relay_peer_count)| {
            lightpush_wire::LightpushResponse {
                request_id,
                status_code,
                status_desc,
                relay_peer_count,
            }
        },
    )
}

/// An encoding with some bytes changed and the end cut off.
fn mangled(encoded: Bytes, changes: &[(usize, u8)], keep: usize) -> Bytes {
    let mut raw = encoded.to_vec();
    raw.truncate(keep % (raw.len() + 1));
    for (at, value) in changes {
        let length = raw.len().max(1);
        if let Some(byte) = raw.get_mut(at % length) {
            *byte = *value;
        }
    }
    raw.into()
}

proptest! {
    #[test]
    fn messages_round_trip(m in message()) {
        prop_assert_eq!(WakuMessage::decode(m.encode()), Ok(m));
    }

    #[test]
    fn message_bytes_are_decoded_or_refused(raw in bytes(0..400)) {
        if let Ok(m) = WakuMessage::decode(raw) {
            prop_assert_eq!(m.validate(), Ok(()));
            prop_assert_eq!(WakuMessage::decode(m.encode()), Ok(m));
        }
    }

    #[test]
    fn mangled_messages_are_decoded_or_refused(
        m in message(), changes in vec(any::<(usize, u8)>(), 0..5), keep in any::<usize>(),
    ) {
        if let Ok(m) = WakuMessage::decode(mangled(m.encode(), &changes, keep)) {
            prop_assert_eq!(m.validate(), Ok(()));
        }
    }

    #[test]
    fn the_hash_depends_on_what_it_covers_and_nothing_else(m in message(), other in message()) {
        let h = message_hash("/waku/2/rs/66/0", &m);
        let unhashed = WakuMessage {
            version: other.version,
            ephemeral: other.ephemeral,
            rate_limit_proof: other.rate_limit_proof,
            ..m.clone()
        };
        prop_assert_eq!(message_hash("/waku/2/rs/66/0", &unhashed), h);
        prop_assert_ne!(message_hash("/waku/2/rs/66/1", &m), h);
        let changed = WakuMessage { payload: [&m.payload[..], &[0]].concat().into(), ..m };
        prop_assert_ne!(message_hash("/waku/2/rs/66/0", &changed), h);
    }

    #[test]
    fn store_requests_round_trip(id in "[a-z0-9]{0,64}", q in query()) {
        prop_assert_eq!(decode_request(encode_request(&id, &q)), Ok((id, q)));
    }

    #[test]
    fn store_request_bytes_are_decoded_or_refused(
        raw in bytes(0..400), q in query(), changes in vec(any::<(usize, u8)>(), 0..5), keep in any::<usize>(),
    ) {
        for raw in [raw, mangled(encode_request("id", &q), &changes, keep)] {
            if let Ok((id, q)) = decode_request(raw) {
                prop_assert_eq!(decode_request(encode_request(&id, &q)), Ok((id, q)));
            }
        }
    }

    #[test]
    fn store_responses_round_trip(r in response()) {
        prop_assert_eq!(decode_response(encode_response(&r)), Ok(r));
    }

    #[test]
    fn store_response_bytes_are_decoded_or_refused(
        raw in bytes(0..400), r in response(), changes in vec(any::<(usize, u8)>(), 0..5), keep in any::<usize>(),
    ) {
        for raw in [raw, mangled(encode_response(&r), &changes, keep)] {
            if let Ok(r) = decode_response(raw) {
                prop_assert!((r.messages.len() + r.unreadable) as u64 <= MAX_PAGE);
                prop_assert!(r.status_desc.len() <= 256 && r.request_id.len() <= 256);
            }
        }
    }

    #[test]
    fn filter_requests_round_trip(r in filter_request()) {
        prop_assert_eq!(filter_wire::decode_request(filter_wire::encode_request(&r)), Ok(r));
    }

    #[test]
    fn filter_answers_round_trip(r in filter_response()) {
        prop_assert_eq!(filter_wire::decode_response(filter_wire::encode_response(&r)), Ok(r));
    }

    #[test]
    fn filter_pushes_round_trip(message in message(), pubsub_topic in ".{0,40}") {
        let encoded = filter_wire::encode_push(&pubsub_topic, &message);
        let push = filter_wire::FilterPush { pubsub_topic, message };
        prop_assert_eq!(filter_wire::decode_push(encoded), Ok(push));
    }

    #[test]
    fn filter_bytes_are_decoded_or_refused(
        raw in bytes(0..400), r in filter_request(), a in filter_response(), m in message(),
        changes in vec(any::<(usize, u8)>(), 0..5), keep in any::<usize>(),
    ) {
        let damaged = |encoded| mangled(encoded, &changes, keep);
        for raw in [raw.clone(), damaged(filter_wire::encode_request(&r))] {
            if let Ok(r) = filter_wire::decode_request(raw) {
                prop_assert!(r.content_topics.len() <= MAX_FILTER_TOPICS);
                prop_assert_eq!(filter_wire::decode_request(filter_wire::encode_request(&r)), Ok(r));
            }
        }
        for raw in [raw.clone(), damaged(filter_wire::encode_response(&a))] {
            if let Ok(a) = filter_wire::decode_response(raw) {
                prop_assert!(a.request_id.len() <= 256 && a.status_desc.len() <= 256);
            }
        }
        for raw in [raw, damaged(filter_wire::encode_push("/waku/2/rs/66/0", &m))] {
            if let Ok(push) = filter_wire::decode_push(raw) {
                prop_assert_eq!(push.message.validate(), Ok(()));
            }
        }
    }

    #[test]
    fn too_many_filter_topics_are_refused(mut r in filter_request(), more in 1usize..50) {
        r.content_topics = vec!["t".into(); MAX_FILTER_TOPICS + more];
        let refused = filter_wire::decode_request(filter_wire::encode_request(&r));
        prop_assert_eq!(refused, Err((r.request_id, filter_wire::WireError::TooLarge)));
    }

    #[test]
    fn lightpush_requests_round_trip(r in lightpush_request()) {
        use lightpush_wire::{decode_request, decode_request_v2, encode_request, encode_request_v2};
        prop_assert_eq!(decode_request(encode_request(&r)), Ok(r.clone()));
        prop_assert_eq!(decode_request_v2(encode_request_v2(&r)), Ok(r));
    }

    #[test]
    fn lightpush_answers_round_trip(r in lightpush_response()) {
        use lightpush_wire::{decode_response, decode_response_v2, encode_response, encode_response_v2};
        prop_assert_eq!(decode_response(encode_response(&r)), Ok(r.clone()));
        let told = lightpush_wire::LightpushResponse {
            status_code: if r.status_code == 200 { 200 } else { 0 },
            relay_peer_count: None,
            ..r.clone()
        };
        prop_assert_eq!(decode_response_v2(encode_response_v2(&r)), Ok(told));
    }

    #[test]
    fn lightpush_bytes_are_decoded_or_refused(
        raw in bytes(0..400), r in lightpush_request(), a in lightpush_response(),
        changes in vec(any::<(usize, u8)>(), 0..5), keep in any::<usize>(),
    ) {
        let damaged = |encoded| mangled(encoded, &changes, keep);
        let v3 = lightpush_wire::decode_request(damaged(lightpush_wire::encode_request(&r)));
        let v2 = lightpush_wire::decode_request_v2(damaged(lightpush_wire::encode_request_v2(&r)));
        let other = [lightpush_wire::decode_request(raw.clone()), lightpush_wire::decode_request_v2(raw.clone())];
        for r in [v3, v2].into_iter().chain(other).flatten() {
            prop_assert_eq!(r.message.validate(), Ok(()));
            prop_assert!(r.request_id.len() <= 256);
        }
        let v3 = lightpush_wire::decode_response(damaged(lightpush_wire::encode_response(&a)));
        let v2 = lightpush_wire::decode_response_v2(damaged(lightpush_wire::encode_response_v2(&a)));
        let other = [lightpush_wire::decode_response(raw.clone()), lightpush_wire::decode_response_v2(raw)];
        for a in [v3, v2].into_iter().chain(other).flatten() {
            prop_assert!(a.status_desc.is_none_or(|d| d.len() <= 256));
        }
    }

    #[test]
    fn metadata_round_trips(
        cluster_id in option::of(any::<u32>()), shards in proptest::collection::btree_set(any::<u32>(), 0..100),
    ) {
        let m = Metadata { cluster_id, shards: shards.into_iter().collect() };
        prop_assert_eq!(Metadata::decode(m.encode()), Ok(m));
    }

    #[test]
    fn metadata_bytes_are_decoded_or_refused(raw in bytes(0..400)) {
        if let Ok(m) = Metadata::decode(raw) {
            prop_assert_eq!(Metadata::decode(m.encode()), Ok(m));
        }
    }

    #[test]
    fn any_text_is_a_topic_or_is_not(text in ".{0,60}", slashes in "(/[a-z0-9]{0,3}){0,7}", shards in 1u32..2000) {
        for topic in [text, slashes] {
            prop_assert_eq!(shard_for(&topic, shards).is_ok(), parse_content_topic(&topic).is_ok());
            if let Ok(shard) = shard_for(&topic, shards) {
                prop_assert!(shard < shards);
            }
            if let Ok((cluster, shard)) = parse_pubsub_topic(&topic) {
                prop_assert_eq!(pubsub_topic(cluster, shard), topic);
            }
        }
    }

    #[test]
    fn pubsub_topics_round_trip(cluster in any::<u32>(), shard in any::<u32>()) {
        prop_assert_eq!(parse_pubsub_topic(&pubsub_topic(cluster, shard)), Ok((cluster, shard)));
    }

    #[test]
    fn any_text_is_a_hash_or_is_not(text in "(0x)?[0-9a-fA-F]{60,66}|.{0,70}") {
        if let Ok(h) = text.parse::<MessageHash>() {
            prop_assert_eq!(h.to_string().parse(), Ok(h));
        }
    }
}
