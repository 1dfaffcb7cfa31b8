//! Arguments, checked before the library sees them, and answers, read with care.

use std::ffi::{CString, c_int};
use std::time::Duration;

use crate::error::CallError;

/// Longest text argument other than messages and queries, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Most content topics in one request to a filter server, by 12/WAKU2-FILTER.
pub(super) const MAX_CONTENT_TOPICS: usize = 100;

pub(super) fn c_string(text: String) -> Result<CString, CallError> {
    CString::new(text).map_err(|_| CallError::Invalid("a text with a NUL character"))
}

pub(super) fn text(text: &str) -> Result<CString, CallError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(CallError::Invalid("a text of more than 64 KiB"));
    }
    c_string(text.to_owned())
}

/// One address of one peer. The library would take a comma for the end of it.
pub(super) fn peer_address(address: &str) -> Result<CString, CallError> {
    let peer = address.rsplit_once("/p2p/").filter(|(at, id)| !at.is_empty() && !id.is_empty());
    match peer {
        Some((_, id)) if !address.contains(',') && !id.contains('/') => text(address),
        _ => Err(CallError::Invalid("not the address of a peer, /…/p2p/<id>")),
    }
}

/// Content topics as the library takes them: separated by commas, so that none may contain one.
pub(super) fn content_topics(topics: &[String]) -> Result<CString, CallError> {
    if topics.is_empty() {
        return Err(CallError::Invalid("no content topic"));
    }
    if topics.len() > MAX_CONTENT_TOPICS {
        return Err(CallError::Invalid("more than 100 content topics"));
    }
    if topics.iter().any(|topic| topic.is_empty() || topic.contains(',')) {
        return Err(CallError::Invalid("a content topic that is empty or contains a comma"));
    }
    if topics.iter().map(|topic| topic.len() + 1).sum::<usize>() > MAX_TEXT_BYTES {
        return Err(CallError::Invalid("content topics of more than 64 KiB together"));
    }
    c_string(topics.join(","))
}

pub(super) fn string(answer: Vec<u8>) -> Result<String, CallError> {
    String::from_utf8(answer).map_err(|_| CallError::Malformed("not UTF-8"))
}

/// A list separated by commas, sorted, each entry once.
pub(super) fn list(answer: Vec<u8>) -> Result<Vec<String>, CallError> {
    let answer = string(answer)?;
    let mut entries: Vec<_> =
        answer.split(',').map(str::trim).filter(|e| !e.is_empty()).map(str::to_owned).collect();
    entries.sort_unstable();
    entries.dedup();
    Ok(entries)
}

pub(super) fn message_hash(answer: &[u8]) -> Result<[u8; 32], CallError> {
    let hash = std::str::from_utf8(answer).ok().and_then(libwaku_json::from_hex);
    hash.ok_or(CallError::Malformed("not a message hash"))
}

/// A whole number of nanoseconds, in decimal.
pub(super) fn nanoseconds(answer: &[u8]) -> Result<Duration, CallError> {
    let number = std::str::from_utf8(answer).ok().and_then(|text| text.trim().parse().ok());
    number.map(Duration::from_nanos).ok_or(CallError::Malformed("not a duration"))
}

pub(super) fn truth(answer: &[u8]) -> Result<bool, CallError> {
    match answer {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(CallError::Malformed("neither true nor false")),
    }
}

/// Milliseconds as the library takes them: at least 1, since 0 means no limit.
pub(super) fn millis(limit: Duration) -> c_int {
    c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn content_topics_are_bounded_and_cannot_be_taken_for_others() {
        let topics = |n: usize, len: usize| vec!["x".repeat(len); n];
        let joined = |topics: &[String]| content_topics(topics).map(|c| c.into_bytes().len());
        assert_eq!(joined(&topics(1, 3)), Ok(3));
        assert_eq!(joined(&topics(100, 10)), Ok(1099));
        assert_eq!(joined(&topics(100, 654)), Ok(65_499));
        for bad in [
            topics(0, 0),
            topics(101, 3),
            topics(100, 656),
            topics(2, 0),
            vec!["/a/1/b/c,/d/1/e/f".to_owned()],
            vec!["/a/1/b\0/c".to_owned()],
        ] {
            assert!(matches!(joined(&bad), Err(CallError::Invalid(_))), "{bad:?}");
        }
    }

    #[test]
    fn time_out_of_nothing_is_not_none() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_secs(2)), 2000);
        assert_eq!(millis(Duration::MAX), c_int::MAX);
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(answer: Vec<u8>) {
            let _ = (nanoseconds(&answer), truth(&answer), message_hash(&answer));
            let _ = list(answer);
        }

        #[test]
        fn lists_and_durations_come_back(nanos: u64, ids in proptest::collection::btree_set("[a-z0-9]{1,9}", 0..9)) {
            prop_assert_eq!(nanoseconds(nanos.to_string().as_bytes()), Ok(Duration::from_nanos(nanos)));
            let ids: Vec<String> = ids.into_iter().collect();
            prop_assert_eq!(list(ids.join(",").into_bytes()), Ok(ids));
        }
    }
}
