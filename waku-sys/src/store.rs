//! Checks of a query before the library gets it, and the reading of its answer.

use libwaku_json::{StoreAnswer, StoreQuery};

use crate::error::CallError;

/// Most messages in one page, which is what nwaku serves.
pub const MAX_PAGE: u32 = 100;

/// The JSON that is handed to the library. Refuses what the library would misread.
pub(crate) fn checked_json(query: &StoreQuery) -> Result<String, CallError> {
    if !query.pagination_limit.is_some_and(|limit| (1..=u64::from(MAX_PAGE)).contains(&limit)) {
        return Err(CallError::Invalid("the limit is not within 1 to 100"));
    }
    if query.message_hashes.len() > MAX_PAGE as usize {
        return Err(CallError::Invalid("more than 100 hashes"));
    }
    // The library takes this cursor for an absent one and refuses it.
    if query.pagination_cursor == Some([0; 32]) {
        return Err(CallError::Invalid("the cursor is zero"));
    }
    Ok(query.to_json())
}

/// Reads the answer to a query.
pub(crate) fn answer(json: &[u8]) -> Result<StoreAnswer, CallError> {
    serde_json::from_slice(json).map_err(|_| CallError::Malformed("not a page of history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_would_misread_is_not_handed_over() {
        let good = StoreQuery {
            message_hashes: vec![[0xab; 32]],
            pagination_cursor: Some([0xcd; 32]),
            pagination_limit: Some(100),
            ..StoreQuery::default()
        };
        let json = checked_json(&good).expect("it is good");
        assert_eq!(StoreQuery::from_json(&json), Ok(good.clone()));
        for bad in [
            StoreQuery { pagination_limit: None, ..good.clone() },
            StoreQuery { pagination_limit: Some(0), ..good.clone() },
            StoreQuery { pagination_limit: Some(101), ..good.clone() },
            StoreQuery { pagination_cursor: Some([0; 32]), ..good.clone() },
            StoreQuery { message_hashes: vec![[1; 32]; 101], ..good },
        ] {
            assert!(matches!(checked_json(&bad), Err(CallError::Invalid(_))));
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_an_error() {
        let good = answer(br#"{"requestId":"id","statusCode":200}"#).expect("an answer");
        assert_eq!((good.request_id.as_str(), good.status_code), ("id", 200));
        for bad in ["", "[]", "{}", r#"{"requestId":"","statusCode":200,"paginationCursor":"0x1"}"#]
        {
            assert!(matches!(answer(bad.as_bytes()), Err(CallError::Malformed(_))), "{bad}");
        }
    }
}
