//! Discovery of peers, which this node does not do: the functions are there and say so.

use super::call::functions;
use crate::requests::Request;

functions! {
    request;

    /// Would look peers up in DNS; not served.
    fn waku_dns_discovery(entTreeUrl: text, nameDnsServer: text, _timeoutMs: c_int) {
        drop((entTreeUrl, nameDnsServer));
        Ok(Request::NotServed("DNS discovery is not served"))
    }

    /// Would set the nodes with which discovery v5 starts; not served.
    fn waku_discv5_update_bootnodes(bootnodes: mut_text) {
        drop(bootnodes);
        Ok(Request::NotServed("discovery v5 is not served"))
    }

    /// Would start discovery v5; not served.
    fn waku_start_discv5() {
        Ok(Request::NotServed("discovery v5 is not served"))
    }

    /// Would stop discovery v5; not served.
    fn waku_stop_discv5() {
        Ok(Request::NotServed("discovery v5 is not served"))
    }

    /// Would ask a peer for other peers; not served.
    fn waku_peer_exchange_request(_numPeers: c_int) {
        Ok(Request::NotServed("peer exchange is not served"))
    }
}
