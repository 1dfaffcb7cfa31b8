//! Errors in the words of libwaku v0.37.1, for hosts that read them. Where it has no word for an error,
//! ours follows the closest of its words.

use waku_node::{FilterError, LightpushError, StoreError};

/// The address of a Store cannot be read.
pub(crate) fn store_address(reason: impl std::fmt::Display) -> String {
    format!("StoreRequest failed to parse peer addr: {reason}")
}

/// A Store could not be reached.
pub(crate) fn store_dial(reason: impl std::fmt::Display) -> String {
    store_query("PEER_DIAL_FAILURE", Some(&reason.to_string()))
}

/// A Store sent entries, but none that the query asks for. Without this error, that would look like the
/// end of history.
pub(crate) fn store_unwanted(entries: usize) -> String {
    store_query("BAD_RESPONSE", Some(&format!("{entries} entries that do not fit the query")))
}

/// A query failed.
pub(crate) fn store(error: &StoreError) -> String {
    let (word, cause) = match error {
        StoreError::Status { code, description } => match code {
            300 => ("BAD_RESPONSE", Some(description.clone())),
            400 => ("BAD_REQUEST", Some(description.clone())),
            429 => ("TOO_MANY_REQUESTS", None),
            503 => ("SERVICE_UNAVAILABLE", None),
            504 => ("PEER_DIAL_FAILURE", Some(description.clone())),
            _ => ("UNKNOWN", None),
        },
        StoreError::NoPeer | StoreError::NotConnected(_) | StoreError::Unsupported => {
            ("PEER_DIAL_FAILURE", Some(error.to_string()))
        }
        StoreError::Connection(reason) => ("BAD_RESPONSE", Some(reason.clone())),
        StoreError::BadResponse(_) | StoreError::NoProgress => {
            ("BAD_RESPONSE", Some(error.to_string()))
        }
        StoreError::InvalidQuery(what) => ("BAD_REQUEST", Some((*what).to_owned())),
        StoreError::Busy => ("TOO_MANY_REQUESTS", None),
        StoreError::Archive(_) => ("SERVICE_UNAVAILABLE", None),
        // libwaku waits for ever, so it has no word for these.
        StoreError::Timeout | StoreError::Stopped => {
            return format!("StoreRequest failed: {error}");
        }
    };
    store_query(word, cause.as_deref())
}

fn store_query(word: &str, cause: Option<&str>) -> String {
    match cause {
        Some(cause) => format!("StoreRequest failed store query: {word}: {cause}"),
        None => format!("StoreRequest failed store query: {word}"),
    }
}

/// The kinds of filter requests that a host makes.
#[derive(Clone, Copy)]
pub(crate) enum FilterCall {
    Subscribe,
    Unsubscribe,
    UnsubscribeAll,
}

impl FilterCall {
    pub(crate) fn failed(self, error: &FilterError) -> String {
        let doing = match self {
            Self::Subscribe => "subscribing",
            Self::Unsubscribe => "unsubscribing",
            Self::UnsubscribeAll => "unsubscribing all",
        };
        match error {
            FilterError::NoPeer | FilterError::NotConnected(_) | FilterError::Unsupported => {
                format!("could not find peer with WakuFilterSubscribeCodec when {doing}")
            }
            FilterError::Timeout => self.timed_out().to_owned(),
            other => other.to_string(),
        }
    }

    pub(crate) fn timed_out(self) -> &'static str {
        match self {
            Self::Subscribe => "filter subscription timed out",
            Self::Unsubscribe => "filter un-subscription timed out",
            Self::UnsubscribeAll => "filter un-subscription all timed out",
        }
    }
}

/// A message was not published by lightpush.
pub(crate) fn lightpush(error: &LightpushError) -> String {
    match error {
        LightpushError::NoPeer | LightpushError::NotConnected(_) | LightpushError::Unsupported => {
            "failed to lightpublish message, no suitable remote peers".to_owned()
        }
        LightpushError::NotRelayed => "not_published_to_any_peer".to_owned(),
        LightpushError::BadResponse(_) => "decode_rpc_failure".to_owned(),
        LightpushError::Connection(reason) => format!("Exception reading: {reason}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_libwakus_name() {
        let status = |code| {
            let text = store(&StoreError::Status { code, description: "why".into() });
            text.strip_prefix("StoreRequest failed store query: ").map(str::to_owned)
        };
        for (code, word) in [
            (0, "UNKNOWN"),
            (300, "BAD_RESPONSE: why"),
            (400, "BAD_REQUEST: why"),
            (429, "TOO_MANY_REQUESTS"),
            (500, "UNKNOWN"),
            (503, "SERVICE_UNAVAILABLE"),
            (504, "PEER_DIAL_FAILURE: why"),
        ] {
            assert_eq!(status(code).as_deref(), Some(word), "{code}");
        }
        let cut = store(&StoreError::Connection("cut off".into()));
        assert_eq!(cut, "StoreRequest failed store query: BAD_RESPONSE: cut off");
        assert!(!store(&StoreError::Timeout).contains("store query"));
    }
}
