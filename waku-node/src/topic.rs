//! Pubsub topics, content topics and autosharding.

use sha2::{Digest, Sha256};

/// The longest content topic that is accepted, in bytes.
pub const MAX_CONTENT_TOPIC_SIZE: usize = 1024;

/// Why a topic was refused. The text never repeats the topic itself, which may be private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The content topic is not `/application/version/name/encoding` with four non-empty parts.
    #[error("a content topic is /application/version/name/encoding with no part empty")]
    ContentTopic,
    /// The content topic is longer than [`MAX_CONTENT_TOPIC_SIZE`].
    #[error("the content topic has more than {MAX_CONTENT_TOPIC_SIZE} bytes")]
    TooLong,
    /// The content topic begins with a generation of autosharding other than 0.
    #[error("the content topic names an unknown generation of autosharding")]
    Generation,
    /// The pubsub topic is not `/waku/2/rs/<cluster>/<shard>`.
    #[error("a pubsub topic is /waku/2/rs/<cluster>/<shard>")]
    PubsubTopic,
    /// The pubsub topic is of another cluster than the node.
    #[error("the pubsub topic belongs to another cluster")]
    OtherCluster,
    /// The network was said to have no shard.
    #[error("the number of shards is zero")]
    NoShards,
}

/// The parts of a content topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentTopic<'a> {
    /// The name of the application.
    pub application: &'a str,
    /// The version of the application's use of topics.
    pub version: &'a str,
    /// The name of the topic within the application.
    pub name: &'a str,
    /// How payloads are encoded.
    pub encoding: &'a str,
}

/// Splits a content topic `/application/version/name/encoding`, or the long form with the
/// generation `/0` in front.
///
/// # Errors
/// [`TopicError`] if it has another shape, is too long, or names an unknown generation.
pub fn parse_content_topic(topic: &str) -> Result<ContentTopic<'_>, TopicError> {
    if topic.len() > MAX_CONTENT_TOPIC_SIZE {
        return Err(TopicError::TooLong);
    }
    let rest = topic.strip_prefix('/').ok_or(TopicError::ContentTopic)?;
    let mut parts = rest.split('/');
    let mut next = || parts.next().filter(|p| !p.is_empty()).ok_or(TopicError::ContentTopic);
    let four = [next()?, next()?, next()?, next()?];
    let [application, version, name, encoding] = match (parts.next(), parts.next()) {
        (None, _) => four,
        (Some(last), None) if !last.is_empty() => {
            if four[0] != "0" {
                // Five parts are the long form only if the first is a number; else one is too many.
                return Err(if four[0].bytes().all(|b| b.is_ascii_digit()) {
                    TopicError::Generation
                } else {
                    TopicError::ContentTopic
                });
            }
            [four[1], four[2], four[3], last]
        }
        _ => return Err(TopicError::ContentTopic),
    };
    Ok(ContentTopic { application, version, name, encoding })
}

/// The shard that autosharding assigns to a content topic, among `shards` shards: the last eight
/// bytes of SHA-256(application ‖ version) as a big-endian number, modulo `shards`.
///
/// All topics of one application and version share a shard.
///
/// # Errors
/// [`TopicError`] if the topic is malformed or `shards` is zero.
pub fn shard_for(content_topic: &str, shards: u32) -> Result<u32, TopicError> {
    if shards == 0 {
        return Err(TopicError::NoShards);
    }
    let topic = parse_content_topic(content_topic)?;
    let digest: [u8; 32] =
        Sha256::new().chain_update(topic.application).chain_update(topic.version).finalize().into();
    let mut tail = [0u8; 8];
    tail.copy_from_slice(&digest[24..]);
    // The remainder is below a u32.
    Ok((u64::from_be_bytes(tail) % u64::from(shards)) as u32)
}

/// The pubsub topic of a shard: `/waku/2/rs/<cluster>/<shard>`.
pub fn pubsub_topic(cluster_id: u32, shard: u32) -> String {
    format!("/waku/2/rs/{cluster_id}/{shard}")
}

/// Cluster and shard of a pubsub topic.
///
/// # Errors
/// [`TopicError::PubsubTopic`] unless it is exactly what [`pubsub_topic`] writes.
pub fn parse_pubsub_topic(topic: &str) -> Result<(u32, u32), TopicError> {
    let number = |s: &str| {
        // `parse` would take a sign, and leading zeros would give one shard two names.
        let canonical = s.bytes().all(|b| b.is_ascii_digit()) && (s == "0" || !s.starts_with('0'));
        canonical.then(|| s.parse::<u32>().ok()).flatten().ok_or(TopicError::PubsubTopic)
    };
    let rest = topic.strip_prefix("/waku/2/rs/").ok_or(TopicError::PubsubTopic)?;
    let (cluster, shard) = rest.split_once('/').ok_or(TopicError::PubsubTopic)?;
    Ok((number(cluster)?, number(shard)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn autosharding_agrees_with_other_implementations() {
        assert_eq!(shard_for("/myapp/1/latest/proto", 8), Ok(0));
        assert_eq!(shard_for("/waku/2/content/test.js", 8), Ok(1));
        assert_eq!(shard_for("/toychat/2/huilong/proto", 8), Ok(3));
        assert_eq!(shard_for("/0/toychat/2/huilong/proto", 8), Ok(3));
        assert_eq!(shard_for("/a/1/b/c", 0), Err(TopicError::NoShards));
    }

    #[test]
    fn malformed_content_topics_are_refused() {
        for bad in [
            "",
            "/",
            "a/1/b/c",
            "/a/1/b",
            "/a/1/b/",
            "//1/b/c",
            "/a/1/b/c/",
            "/a/1/b/c/d",
            "/0/a/1/b/",
        ] {
            assert_eq!(parse_content_topic(bad), Err(TopicError::ContentTopic), "{bad}");
        }
        assert_eq!(parse_content_topic("/1/a/1/b/c"), Err(TopicError::Generation));
        assert_eq!(
            parse_content_topic(&format!("/a/1/{}/c", "x".repeat(1024))),
            Err(TopicError::TooLong)
        );
    }

    #[test]
    fn pubsub_topics_round_trip() {
        assert_eq!(parse_pubsub_topic(&pubsub_topic(66, 1023)), Ok((66, 1023)));
        for bad in [
            "/waku/2/rs/1",
            "/waku/2/rs/+1/0",
            "/waku/2/rs/01/0",
            "/waku/2/rs/1/0/",
            "/waku/2/default-waku/proto",
            "/waku/2/rs/4294967296/0",
            "/waku/2/rs//0",
        ] {
            assert_eq!(parse_pubsub_topic(bad), Err(TopicError::PubsubTopic), "{bad}");
        }
    }
}
