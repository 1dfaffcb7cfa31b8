//! The methods about the account's devices.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chat_core::identity::phrase::RecoveryPhrase;
use chat_core::machine::CommandError;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::error::RpcError;
use super::methods::{Method, value};
use super::params::{Nothing, read};
use crate::client::Client;
use crate::error::Error;
use crate::{GroupId, InstallationId, ItemHash, LinkingId, Timestamp};

/// Days of messages that are handed over unless asked for another number.
pub(crate) const DEFAULT_DAYS: u64 = 30;
const DAY: u64 = 24 * 3600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    group: GroupId,
    message: ItemHash,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    installation: InstallationId,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    installations: Vec<InstallationId>,
    phrase: Option<Secret>,
}

/// A text that is erased when it was used.
#[derive(Deserialize)]
#[serde(from = "String")]
struct Secret(Zeroizing<String>);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HandOver {
    installation: InstallationId,
    days: Option<u64>,
    since: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirm {
    linking: LinkingId,
    string: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneLinking {
    linking: LinkingId,
}

pub(super) async fn call(
    client: &Client,
    method: &Method,
    given: Value,
) -> Result<Value, RpcError> {
    match method.name {
        "installations" => {
            let Nothing {} = read(given)?;
            value(client.installations().await?)
        }
        "linkings" => {
            let Nothing {} = read(given)?;
            value(client.linkings().await?)
        }
        "own_linking" => {
            let Nothing {} = read(given)?;
            value(client.own_linking().await?)
        }
        "mark_read" => {
            let Read { group, message } = read(given)?;
            value(client.mark_read(group, message).await?)
        }
        "name_installation" => {
            let Name { installation, name } = read(given)?;
            value(client.name_installation(installation, name).await?)
        }
        "revoke_installations" => {
            let Revoke { installations, phrase } = read(given)?;
            let bad = |error: crate::PhraseError| {
                Error::Command(CommandError::BadPhrase { reason: error.to_string() })
            };
            let phrase = phrase.map(|words| RecoveryPhrase::parse(&words.0)).transpose();
            let phrase = phrase.map_err(bad)?;
            value(client.revoke_installations(&installations, phrase.as_ref()).await?)
        }
        "hurry_installations" => {
            let Nothing {} = read(given)?;
            value(client.hurry_installations().await?)
        }
        "hand_over" => {
            let HandOver { installation, days, since } = read(given)?;
            let since = match (days, since) {
                (Some(_), Some(_)) => {
                    let why = "days or since, not both".to_owned();
                    return Err(RpcError::BadParams(why));
                }
                (None, Some(since)) => since,
                (days, None) => days_ago(days.unwrap_or(DEFAULT_DAYS)),
            };
            value(client.hand_over(installation, since).await?)
        }
        "answer_link" => {
            let Code { code } = read(given)?;
            value(client.answer_link(&code).await?)
        }
        "confirm_link" => {
            let Confirm { linking, string } = read(given)?;
            value(client.confirm_link(linking, string).await?)
        }
        "cancel_link" => {
            let OneLinking { linking } = read(given)?;
            value(client.cancel_link(linking).await?)
        }
        other => Err(RpcError::UnknownMethod(other.to_owned())),
    }
}

/// The moment some days ago; the beginning of time where that is longer ago.
fn days_ago(days: u64) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_secs(now.as_secs().saturating_sub(days.saturating_mul(DAY)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn days_reach_back() {
        assert_eq!(days_ago(u64::MAX), Timestamp::from_secs(0));
        let (today, week) = (days_ago(0), days_ago(7));
        assert_eq!((today - Duration::from_secs(7 * DAY)).secs().abs_diff(week.secs()) / 60, 0);
    }

    #[test]
    fn a_phrase_is_optional_and_is_a_text() {
        let id = InstallationId([7; 32]);
        let revoke = read::<Revoke>(json!({"installations": [id], "phrase": "a b"})).unwrap();
        assert_eq!((revoke.installations, revoke.phrase.unwrap().0.as_str()), (vec![id], "a b"));
        assert!(read::<Revoke>(json!({"installations": [id]})).unwrap().phrase.is_none());
        assert!(read::<Revoke>(json!({"installations": [id], "phrase": 1})).is_err());
        assert!(read::<Revoke>(json!({"phrase": "a b"})).is_err());
    }
}
