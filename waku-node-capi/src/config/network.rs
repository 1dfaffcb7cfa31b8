//! Where a node listens, what it announces, and the shards it subscribes to.

use std::net::IpAddr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use super::keys::Keys;

/// The last shard of a cluster, by WAKU2-RELAY-SHARDING.
const MAX_SHARD: u32 = 1023;

/// The ways to find an outside address that libwaku has beside `extip:`. `none` is not among them.
const NAT_METHODS: [&str; 3] = ["any", "upnp", "pmp"];

pub(super) fn port(keys: &Keys, key: &str, default: u16) -> Result<u16, String> {
    let base = keys.parse::<u16>(key, "a port")?.unwrap_or(default);
    let shift = keys.parse::<u16>("portsShift", "a number of 16 bits")?.unwrap_or(0);
    match base.checked_add(shift) {
        Some(port) if base != 0 => Ok(port),
        _ => Err(format!("configuration: {key} must be a port from 1 to 65535")),
    }
}

/// The addresses that peers are told, without the node's id.
pub(super) fn announced(keys: &Keys, ip: IpAddr, port: u16) -> Result<Vec<Multiaddr>, String> {
    let external: Vec<Multiaddr> =
        keys.list("extMultiAddrs", "multiaddresses")?.unwrap_or_default();
    if keys.flag("extMultiAddrsOnly", false)? && !external.is_empty() {
        return Ok(external);
    }
    let nat = keys.text("nat").unwrap_or_default();
    let host = match nat.strip_prefix("extip:") {
        Some(address) => address
            .parse()
            .map_err(|_| "configuration: nat must be extip: and an IP address, or a method")?,
        // The methods ask a router for an outside address, and this node asks none.
        None if nat.is_empty() || NAT_METHODS.contains(&nat.to_ascii_lowercase().as_str()) => ip,
        None => {
            return Err("configuration: nat must be any, upnp, pmp, or extip: and an IP address; \
                        libwaku v0.37.1 refuses none"
                .into());
        }
    };
    let own = match keys.text("dns4DomainName").filter(|name| !name.is_empty()) {
        Some(name) => Multiaddr::from(Protocol::Dns4(name.into())),
        None => Multiaddr::from(host),
    };
    Ok(std::iter::once(own.with(Protocol::Tcp(port))).chain(external).collect())
}

/// Whether an address stands for all interfaces, so that it cannot be dialled.
pub(super) fn has_no_host(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => ip.is_unspecified(),
        _ => false,
    }
}

/// The shards to subscribe to: those that are named, or else all of the network.
pub(super) fn shards(keys: &Keys) -> Result<Vec<u32>, String> {
    let counted = keys.parse::<u16>("numShardsInNetwork", "a number of 16 bits")?;
    // With autosharding, which is on unless `numShardsInNetwork` is 0, libwaku counts one shard if it is
    // not told otherwise, and takes no shard above the count.
    let of_network = counted.unwrap_or(1);
    let named = keys.list::<u16>("shards", "shard numbers")?.unwrap_or_default();
    let shards: Vec<u32> = match named.is_empty() {
        true => (0..of_network.into()).collect(),
        false => named.into_iter().map(u32::from).collect(),
    };
    if shards.iter().any(|s| *s > MAX_SHARD) {
        return Err("configuration: shards must be numbers below 1024".into());
    }
    if of_network > 0 && shards.iter().any(|s| *s >= of_network.into()) {
        return Err("configuration: validateShards invalid shard: shards must be below \
                    numShardsInNetwork, which is 1 unless it is set"
            .into());
    }
    Ok(shards)
}
