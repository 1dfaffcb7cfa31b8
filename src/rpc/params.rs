//! What methods take.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::RpcError;
use crate::{AccountId, GroupId, RequestId};

/// Reads parameters. Null, which stands for absent ones, is an empty object.
pub(super) fn read<T: DeserializeOwned>(given: Value) -> Result<T, RpcError> {
    let given = if given.is_null() { Value::Object(Map::new()) } else { given };
    if !given.is_object() {
        // Structures can be read from arrays too, which nobody means.
        return Err(RpcError::BadParams("parameters are an object".to_owned()));
    }
    serde_json::from_value(given).map_err(|error| RpcError::BadParams(error.to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    pub(super) timeout_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InGroup {
    pub(super) group: GroupId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct History {
    pub(super) group: GroupId,
    pub(super) before: Option<u64>,
    pub(super) limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contact {
    pub(super) link: String,
    pub(super) name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneAccount {
    pub(super) account: AccountId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGroup {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) members: Vec<AccountId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Accounts {
    pub(super) group: GroupId,
    pub(super) accounts: Vec<AccountId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    pub(super) group: GroupId,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) group: GroupId,
    pub(super) account: AccountId,
    pub(super) admin: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    pub(super) group: GroupId,
    pub(super) text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneRequest {
    pub(super) request: RequestId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cursor {
    pub(super) cursor: u64,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn parameters_are_read_strictly() {
        assert!(read::<Nothing>(Value::Null).is_ok());
        assert!(read::<Nothing>(json!({})).is_ok());
        assert!(read::<Nothing>(json!({"more": 1})).is_err());
        assert!(read::<Nothing>(json!([])).is_err());
        assert!(read::<InGroup>(json!({})).is_err());
        assert!(read::<InGroup>(json!({"group": "wkg1x"})).is_err());
        assert!(read::<Cursor>(json!([1])).is_err());
        assert_eq!(read::<Cursor>(json!({"cursor": u64::MAX})).unwrap().cursor, u64::MAX);
        for bad in [json!({"cursor": -1}), json!({"cursor": 1.5}), json!({"cursor": "1"})] {
            assert!(read::<Cursor>(bad).is_err());
        }
    }

    proptest! {
        #[test]
        fn ids_are_read_as_they_are_written(id in any::<[u8; 32]>()) {
            let group = GroupId(id);
            let read = read::<InGroup>(json!({"group": group})).unwrap();
            prop_assert_eq!(read.group, group);
        }
    }
}
