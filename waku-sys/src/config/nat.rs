//! The address that a node announces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that a node announces to peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// The address that it listens on. A node that listens on all addresses announces loopback:
    /// other machines do not learn from it where to dial it.
    None,
    /// This address, such as the outside of a router that forwards the port.
    External(IpAddr),
}

impl Nat {
    /// The address that a node announces if it listens on this one.
    pub fn announced(self, listen_address: IpAddr) -> IpAddr {
        match (self, listen_address) {
            (Self::External(address), _) => address,
            (Self::None, IpAddr::V4(address)) if address.is_unspecified() => {
                Ipv4Addr::LOCALHOST.into()
            }
            (Self::None, IpAddr::V6(address)) if address.is_unspecified() => {
                Ipv6Addr::LOCALHOST.into()
            }
            (Self::None, address) => address,
        }
    }
}
