//! How soon a network lets clients ask whether what they sent has arrived.

use std::time::Duration;

use chat_core::params::NetworkParams;
use waku_transport::Confirmation;

/// How a client of a network has Stores asked for what it sent.
///
/// The network's invitation delay says how far apart in time things must be so that nobody pairs them. Where
/// it is zero, as in the fast network, a Store is asked at once. Elsewhere it is asked after a time by
/// chance of up to that delay, and at most a minute.
pub fn confirmation(network: &NetworkParams) -> Confirmation {
    match network.invitation_delay_ms {
        0 => Confirmation::fast(),
        ms => Confirmation::spread(Duration::from_millis(ms)),
    }
}

/// How long whoever ends may wait for confirmations: some seconds where they come within that time,
/// and not at all where they do not.
pub fn confirmation_grace(network: &NetworkParams) -> Duration {
    /// More than a Store on a busy machine takes, and not more than a user waits for a command.
    const GRACE: Duration = Duration::from_secs(5);
    if confirmation(network).first_max < GRACE { GRACE } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_network_is_asked_late_and_the_fast_one_at_once() {
        let (fast, public) = (NetworkParams::fast(), NetworkParams::public());
        assert!(confirmation(&fast).first_max <= Duration::from_millis(100));
        assert_eq!(confirmation_grace(&fast), Duration::from_secs(5));
        let slow = confirmation(&public);
        assert!(slow.first_min >= Duration::from_secs(10));
        assert!(slow.first_max <= Duration::from_secs(60));
        assert_eq!(confirmation_grace(&public), Duration::ZERO);
    }
}
