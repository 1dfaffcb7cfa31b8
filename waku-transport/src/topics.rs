//! Content topics, as 23/WAKU2-TOPICS defines them.

use crate::error::TransportError;

/// Longest content topic, in bytes.
pub const MAX_TOPIC_BYTES: usize = 256;

/// Most content topics that one endpoint watches: some hundred for each of a thousand groups. With
/// topics of the greatest length, that is 64 MiB.
pub const MAX_WATCHED_TOPICS: usize = 1 << 18;

/// Checks a content topic: `/application/version/name/encoding`, or the same with the generation
/// `/0` in front, with no part empty.
pub(crate) fn check_topic(topic: &str) -> Result<(), &'static str> {
    if topic.len() > MAX_TOPIC_BYTES {
        return Err("the content topic is longer than 256 bytes");
    }
    let Some(path) = topic.strip_prefix('/') else {
        return Err("the content topic does not begin with a slash");
    };
    let (mut parts, mut first) = (0, "");
    for part in path.split('/') {
        if part.is_empty() {
            return Err("the content topic has an empty part");
        }
        if parts == 0 {
            first = part;
        }
        parts += 1;
    }
    match (parts, first) {
        (4, _) | (5, "0") => Ok(()),
        _ => Err("the content topic is not /application/version/name/encoding"),
    }
}

/// Checks a list of topics to watch.
pub(crate) fn check_topics(topics: &[String]) -> Result<(), TransportError> {
    topics.iter().try_for_each(|topic| check_topic(topic)).map_err(TransportError::Invalid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn topic_check_never_panics_and_agrees_with_splitting(topic in "[/a0]{0,12}") {
            let parts: Vec<_> = topic.split('/').collect();
            let good = parts[0].is_empty()
                && (parts.len() == 5 || parts.len() == 6 && parts[1] == "0")
                && parts[1..].iter().all(|p| !p.is_empty());
            prop_assert_eq!(check_topic(&topic).is_ok(), good);
        }
    }
}
