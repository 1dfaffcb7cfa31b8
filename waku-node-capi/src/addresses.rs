//! Lists of addresses and of peer ids, as hosts write and read them.

use libp2p::multiaddr::Protocol;
use waku_node::{Multiaddr, PeerId};

/// The most peers that one call may name.
const MAX_NAMED: usize = 256;

/// Writes ids in order, separated by commas.
pub(crate) fn join<'a>(ids: impl Iterator<Item = &'a PeerId>) -> String {
    let mut ids: Vec<_> = ids.map(ToString::to_string).collect();
    ids.sort();
    ids.join(",")
}

/// The id at the end of an address.
pub(crate) fn id_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// Reads addresses that are separated by commas, each ending with `/p2p/` and an id.
pub(crate) fn parse_addresses(text: &str) -> Result<Vec<Multiaddr>, String> {
    let parts: Vec<_> = text.split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
    if parts.is_empty() || parts.len() > MAX_NAMED {
        return Err(format!("there must be 1 to {MAX_NAMED} multiaddresses"));
    }
    let parse = |part: &&str| {
        let address: Multiaddr =
            part.parse().map_err(|e| format!("{part:.200} is not a multiaddress: {e}"))?;
        match id_of(&address) {
            Some(_) => Ok(address),
            None => Err(format!("{part:.200} does not end with /p2p/ and a peer id")),
        }
    };
    parts.iter().map(parse).collect()
}

/// Reads addresses that all lead to one peer.
pub(crate) fn parse_one_peer(text: &str) -> Result<Vec<Multiaddr>, String> {
    let addresses = parse_addresses(text)?;
    match addresses.iter().all(|a| id_of(a) == id_of(&addresses[0])) {
        true => Ok(addresses),
        false => Err("Error in parsePeerInfo: multiple peerIds received".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_their_peers() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let text = format!("/ip4/127.0.0.1/tcp/1/p2p/{a}, /dns4/example.org/tcp/2/p2p/{b},");
        assert_eq!(parse_addresses(&text).expect("good").len(), 2);
        for bad in ["", ",", "/ip4/127.0.0.1/tcp/1", "here", "/ip4/127.0.0.1/tcp/1/p2p/Qm"] {
            assert!(parse_addresses(bad).is_err(), "{bad}");
        }
    }
}
