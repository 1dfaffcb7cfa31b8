//! Peers: connecting to them, and what is known of them.

use super::arguments::{millis, peer_id};
use super::call::functions;
use crate::addresses::parse_addresses;
use crate::requests::Request;

functions! {
    request;

    /// Connects to peers, separated by commas. The answer is empty, or says why no peer was reached.
    fn waku_connect(peerMultiAddr: text, timeoutMs: c_uint) {
        Ok(Request::Connect {
            peers: parse_addresses(&peerMultiAddr)?,
            timeout: millis(timeoutMs),
        })
    }

    /// Closes the connections with a peer. The answer is empty.
    fn waku_disconnect_peer_by_id(peerId: text) {
        Ok(Request::Disconnect { peer: peer_id(&peerId)? })
    }

    /// Closes all connections. The answer is empty.
    fn waku_disconnect_all_peers() {
        Ok(Request::DisconnectAll)
    }

    /// Connects to a peer that offers a protocol. The answer is empty.
    fn waku_dial_peer(peerMultiAddr: text, protocol: text, timeoutMs: c_int) {
        let peers = parse_addresses(&peerMultiAddr)?;
        Ok(Request::Dial {
            peer: peers.into_iter().next().ok_or("peerMultiAddr is empty")?,
            protocol,
            timeout: millis(timeoutMs),
        })
    }

    /// Does the same as `waku_dial_peer` for a peer whose address was given before. The answer is
    /// empty.
    fn waku_dial_peer_by_id(peerId: text, protocol: text, timeoutMs: c_int) {
        Ok(Request::DialById { peer: peer_id(&peerId)?, protocol, timeout: millis(timeoutMs) })
    }

    /// Answers with the ids of all peers heard of, separated by commas.
    fn waku_get_peerids_from_peerstore() {
        Ok(Request::KnownPeers)
    }

    /// Answers with JSON: the protocols and addresses of the connected peers.
    fn waku_get_connected_peers_info() {
        Ok(Request::ConnectedPeersInfo)
    }

    /// Answers with the ids of the connected peers that offer a protocol, separated by commas.
    fn waku_get_peerids_by_protocol(protocol: text) {
        Ok(Request::PeersByProtocol { protocol })
    }

    /// Answers with the ids of the connected peers, separated by commas.
    fn waku_get_connected_peers() {
        Ok(Request::ConnectedPeers)
    }

    /// Answers with the nanoseconds that a peer takes to answer a ping, after dialling it if need be.
    fn waku_ping_peer(peerAddr: text, timeoutMs: c_int) {
        Ok(Request::Ping { peer: peerAddr, timeout: millis(timeoutMs) })
    }
}
