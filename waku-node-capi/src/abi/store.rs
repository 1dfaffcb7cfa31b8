//! History.

use super::arguments::millis;
use super::call::functions;
use crate::requests::Request;

functions! {
    request;

    /// Asks the Store of a peer for a page of history, after dialling it if need be. Answers with
    /// JSON.
    fn waku_store_query(jsonQuery: text, peerAddr: text, timeoutMs: c_int) {
        Ok(Request::StoreQuery { query: jsonQuery, peer: peerAddr, timeout: millis(timeoutMs) })
    }
}
