//! Which addresses a node can listen on, dial and announce.

use std::net::SocketAddr;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use super::error::AddressError;

/// The socket address of a listen address.
pub(crate) fn check_listen(addr: &Multiaddr) -> Result<SocketAddr, AddressError> {
    let mut parts: Vec<_> = addr.iter().collect();
    if parts.len() == 3 && matches!(&parts[2], Protocol::Ws(path) if path == "/") {
        parts.pop();
    }
    match parts.as_slice() {
        [Protocol::Ip4(ip), Protocol::Tcp(port)] => Ok(SocketAddr::new((*ip).into(), *port)),
        [Protocol::Ip6(ip), Protocol::Tcp(port)] => Ok(SocketAddr::new((*ip).into(), *port)),
        _ => Err(AddressError {
            addr: addr.clone(),
            reason: "a node listens on /ip4/…/tcp/… or /ip6/…/tcp/… only, with or without /ws",
        }),
    }
}

/// Splits an address that can be dialled into its transport part and its peer id, if it names one.
pub(crate) fn check_dial(addr: &Multiaddr) -> Result<(Multiaddr, Option<PeerId>), AddressError> {
    let bad = |reason| Err(AddressError { addr: addr.clone(), reason });
    let mut parts = addr.iter();
    if !matches!(
        parts.next(),
        Some(
            Protocol::Ip4(_)
                | Protocol::Ip6(_)
                | Protocol::Dns(_)
                | Protocol::Dns4(_)
                | Protocol::Dns6(_)
        )
    ) {
        return bad("it must begin with /ip4, /ip6 or /dns");
    }
    match parts.next() {
        Some(Protocol::Tcp(0)) => return bad("port 0 cannot be dialled"),
        Some(Protocol::Tcp(_)) => {}
        _ => return bad("only tcp is supported"),
    }
    let mut transport: Multiaddr = addr.iter().take(2).collect();
    let mut next = parts.next();
    if let Some(ws @ Protocol::Ws(_)) = next {
        transport.push(ws);
        next = parts.next();
    }
    match (next, parts.next()) {
        (None, _) => Ok((transport, None)),
        (Some(Protocol::P2p(peer)), None) => Ok((transport, Some(peer))),
        _ => bad("after the port only /ws and /p2p/<peer id> may follow"),
    }
}

/// Refuses an address that nobody can dial. Others may dial more than this node does, such as `/wss`
/// with a proxy that ends TLS.
pub(crate) fn check_announced(addr: &Multiaddr) -> Result<(), AddressError> {
    let bad = |reason| Err(AddressError { addr: addr.clone(), reason });
    let mut parts = addr.iter();
    match parts.next() {
        Some(Protocol::Ip4(ip)) if ip.is_unspecified() => return bad("it names no host"),
        Some(Protocol::Ip6(ip)) if ip.is_unspecified() => return bad("it names no host"),
        Some(
            Protocol::Ip4(_)
            | Protocol::Ip6(_)
            | Protocol::Dns(_)
            | Protocol::Dns4(_)
            | Protocol::Dns6(_),
        ) => {}
        _ => return bad("it must begin with /ip4, /ip6 or /dns"),
    }
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => {}
        _ => return bad("it must go on with /tcp and a port above 0"),
    }
    if parts.any(|p| !matches!(p, Protocol::Ws(_) | Protocol::Wss(_) | Protocol::Tls)) {
        return bad("after the port only /ws, /wss or /tls/ws may follow");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_dialled_is_announced() {
        for good in [
            "/ip4/203.0.113.7/tcp/60000",
            "/dns4/example.org/tcp/443/wss",
            "/dns/example.org/tcp/443/tls/ws",
            "/ip6/2001:db8::1/tcp/8000/ws",
        ] {
            assert!(check_announced(&good.parse().expect("an address")).is_ok(), "{good}");
        }
        for bad in [
            "/ip4/0.0.0.0/tcp/60000",
            "/ip6/::/tcp/60000",
            "/ip4/203.0.113.7/tcp/0",
            "/ip4/203.0.113.7/udp/1",
            "/ip4/203.0.113.7",
            "/tcp/60000",
            "/ip4/203.0.113.7/tcp/1/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf",
        ] {
            assert!(check_announced(&bad.parse().expect("an address")).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_tcp_and_websocket_addresses_can_be_dialled() {
        let peer = libp2p::PeerId::random();
        for good in [
            "/ip4/127.0.0.1/tcp/1".to_owned(),
            "/ip4/127.0.0.1/tcp/1/ws".to_owned(),
            format!("/dns4/example.org/tcp/30303/p2p/{peer}"),
            format!("/dns4/example.org/tcp/8000/ws/p2p/{peer}"),
        ] {
            let addr: Multiaddr = good.parse().expect("an address");
            let (transport, id) = check_dial(&addr).expect("can be dialled");
            let whole = id.map_or(transport.clone(), |id| transport.with(Protocol::P2p(id)));
            assert_eq!(whole, addr, "nothing of it is lost");
        }
        for bad in [
            "/ip4/127.0.0.1",
            "/ip4/127.0.0.1/tcp/0",
            "/ip4/127.0.0.1/udp/1/quic-v1",
            "/ip4/127.0.0.1/tcp/1/wss",
            "/ip4/127.0.0.1/tcp/1/ws/ws",
            "/tcp/1",
            "/memory/1",
        ] {
            let addr: Multiaddr = bad.parse().expect("an address");
            assert!(matches!(check_dial(&addr), Err(AddressError { .. })), "{bad}");
        }
    }
}
