//! Every protocol constant, its unit and its reason; and the parameters of a network.
//!
//! What all members must apply alike is a constant. What may differ between networks (and is
//! therefore hashed into every label, so that networks cannot be confused) is a field of
//! [`NetworkParams`].

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::IdError;

/// Version byte of frames and of everything inside them. Another version is refused.
pub const PROTOCOL_VERSION: u32 = 1;

/// Application name of content topics. One name for all traffic, so that autosharding gives it one
/// shard and the name tells nothing.
pub const APPLICATION: &str = "waku-chat";
/// Version of content topics; goes into the shard with the name.
pub const APPLICATION_VERSION: &str = "1";
/// Encoding part of content topics.
pub const TOPIC_ENCODING: &str = "proto";

/// Bytes of a topic's derived part: 128 bits do not collide by chance, and 26 characters stay
/// short.
pub const TOPIC_LEN: usize = 16;
/// Topics of a root in one slot. Spreads a group's messages, so that the count on one topic is not
/// the group's rate; each lane costs every member a subscription, so few.
pub const LANES: u8 = 4;

/// Smallest envelope in bytes. Holds a 100-character message with eight heads.
pub const ENVELOPE_MIN: usize = 512;
/// Largest envelope in bytes. Base and headers stay under the 145 KiB that nwaku carries.
pub const ENVELOPE_MAX: usize = 128 * 1024;
/// Nonce bytes in front of an envelope (XChaCha20-Poly1305: random nonces are safe).
pub const ENVELOPE_NONCE: usize = 24;
/// Authentication tag bytes at an envelope's end.
pub const ENVELOPE_TAG: usize = 16;
/// Bytes of the length in front of a padded frame.
pub const PADDING_PREFIX: usize = 4;

/// Size of every doorbell envelope in bytes: fixed, so that it tells nothing.
pub const DOORBELL_SIZE: usize = 2048;
/// HPKE wraps in a doorbell. Fixed, so that there is no work to inflate; decoys fill.
pub const DOORBELL_WRAPS: usize = 8;
/// Doorbells that a device tries to open at once; more wait for the budget below. A flood costs an
/// attacker relay bandwidth and a device a bounded share of its processor.
pub const DOORBELL_BURST: u32 = 500;
/// Doorbells per second that a device tries to open in the long run.
pub const DOORBELL_PER_SECOND: u32 = 50;

/// Installations of one account that may be active at once.
pub const MAX_INSTALLATIONS: usize = 16;
/// Entries of a log that a Checkpoint has not yet replaced, with what it lists: room for years
/// without one, in a size that a card and a warrant still carry.
pub const MAX_LOG_ENTRIES: usize = 128;

/// Longest group name in bytes of UTF-8.
pub const MAX_NAME: usize = 128;
/// Longest group description in bytes of UTF-8.
pub const MAX_DESCRIPTION: usize = 1024;
/// Admins of a group at one time: bounds the policy extension that every commit re-reads.
pub const MAX_ADMINS: usize = 256;
/// Longest text of one message in bytes of UTF-8; fits one envelope with its surroundings.
pub const MAX_TEXT: usize = 100 * 1024;
/// Heads that one message carries: acknowledges a busy group in a few messages at some 12 bytes
/// each.
pub const MAX_HEADS: usize = 8;
/// Intents named by one commit.
pub const MAX_INTENTS: usize = 256;
/// Warrants and cuts in one commit: as many as leaves that it may remove.
pub const MAX_WARRANTS: usize = 1024;
/// Members that one commit may add or remove.
pub const MAX_PROPOSALS: usize = 1024;

/// Group epochs (tips and parents on branches) whose roots are watched at once, best first.
pub const MAX_WATCHED_STATES: usize = 8;
/// Commits that members can go back when a branch wins; also the count of epochs whose late
/// messages stay readable. The price in forward secrecy is written in the threat model.
pub const HORIZON_COMMITS: u64 = 32;
/// Online time after which an epoch is dropped, whichever of the two ends first.
pub const HORIZON_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Commits whose public part is kept for `choose`.
pub const PUBLIC_COMMITS: usize = 1000;
/// A commit's slot lies between its parent's and this many after it: bounds the ratcheting that a
/// joiner or a follower does for one commit (65,536 HKDF steps take some 40 ms).
pub const MAX_SLOT_ADVANCE: u64 = 65_536;

/// Age of a root at which its holder owes a self-update that rotates.
pub const ROOT_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Time from its issue in which a key package may be used to add its owner.
pub const KEY_PACKAGE_USE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Time for which the private part of a key package is kept: the window of use, a week for the
/// Welcome to be fetched and a week in reserve.
pub const KEY_PACKAGE_KEEP: Duration = Duration::from_secs(21 * 24 * 3600);
/// Time after which a new key package is made.
pub const KEY_PACKAGE_PERIOD: Duration = Duration::from_secs(24 * 3600);
/// Time that one card stands for: an account publishes one in each. A card's counter is the number
/// of whole periods since the unix epoch.
pub const CARD_PERIOD: Duration = Duration::from_secs(24 * 3600);
/// Size in bytes of every card's envelope, whatever the account has: fixed, so that it tells
/// nothing of how many devices an account has. The smallest class that holds the largest honest
/// card: a log that installations filled to its limit (20 KiB) and [`MAX_INSTALLATIONS`] key
/// packages of some 480 bytes, whose credentials are left out since the log has all of them but a
/// hash.
pub const CARD_SIZE: usize = 32 * 1024;
/// Last part of a period in which no card is due: installations that wait for one another are done
/// before it ends.
pub const CARD_MARGIN: Duration = Duration::from_secs(600);
/// Longest random delay of a card whose time passed while no installation was up. Long enough that
/// the card is not published in the second in which a device comes; short enough that a device that
/// is opened for some minutes a day gets its card out.
pub const CARD_LATE_DELAY: Duration = Duration::from_secs(300);
/// Periods before the present one in which a contact's card is looked for: an older one has no key
/// package that may still be used.
pub const CARD_REACH: u64 = KEY_PACKAGE_USE.as_secs() / CARD_PERIOD.as_secs();
/// First pause before a card is looked for again that was in no Store; it doubles, up to
/// [`CARD_PERIOD`]. An account that never comes back costs one query a day.
pub const CARD_RETRY_MIN: Duration = Duration::from_secs(60);
/// Pause before a card is looked for again because its account is wanted in a group: an application
/// that tries and tries does not ask a Store all the time.
pub const CARD_RETRY_WANTED: Duration = Duration::from_secs(5);
/// Time over which look-ups that fell due while a device was away are spread, so that its contacts
/// are not asked for in one burst.
pub const CARD_SPREAD: Duration = Duration::from_secs(3600);
/// Time after which a new inbox key is made.
pub const INBOX_KEY_PERIOD: Duration = Duration::from_secs(7 * 24 * 3600);
/// Time for which the private part of an inbox key is kept.
pub const INBOX_KEY_KEEP: Duration = Duration::from_secs(28 * 24 * 3600);

/// Over how much of a slot, in thousandths, the commits are spread that add a new installation to
/// its account's groups: ten minutes of an hour, so that a new device is of use soon.
pub const ENROL_SPREAD: u64 = 167;
/// Over how much of a slot, in thousandths, the commits are spread that remove a revoked one: all
/// of it, since every group changes its topics at the same boundary.
pub const EVICT_SPREAD: u64 = 1000;
/// Over how much of a slot, in thousandths, the renewals of old roots are spread: most of it. The rest is
/// for members of higher rank, should the first one be away, before the next boundary comes.
pub const RENEW_SPREAD: u64 = 800;
/// Room for each commit, in thousandths of a slot, where there are so many groups that the spreads
/// above would be too dense: eleven seconds of an hour, half of what a network with RLN allows.
pub const COMMIT_PACE: u64 = 3;

/// Frames kept per group while their epoch is not known yet.
pub const MAX_DEFERRED_PER_GROUP: usize = 1024;
/// Bytes of deferred frames kept per group.
pub const MAX_DEFERRED_BYTES: usize = 8 * 1024 * 1024;
/// Envelopes kept per group that no root opens. Anyone who sees a topic can make them, so they have
/// a room of their own, and the oldest goes first.
pub const MAX_UNOPENED_PER_GROUP: usize = 256;
/// Bytes of envelopes kept per group that no root opens.
pub const MAX_UNOPENED_BYTES: usize = 2 * 1024 * 1024;
/// Requests (unanswered invitations) kept; the oldest makes room, so that strangers cannot fill a
/// disk.
pub const MAX_REQUESTS: usize = 256;
/// Commands with a payload that wait in the outbox; further ones are refused with back-pressure.
pub const MAX_OUTBOX: usize = 10_000;

/// First attempt to publish again after a failure.
pub const RETRY_MIN: Duration = Duration::from_millis(500);
/// Longest pause between two attempts.
pub const RETRY_MAX: Duration = Duration::from_secs(60);

/// MLS sender ratchet: how far messages of one sender may come out of order. Waku does not keep
/// order, and Store hands over pages in the archive's order.
pub const RATCHET_OUT_OF_ORDER: u32 = 1000;
/// MLS sender ratchet: how many generations of one sender may be skipped at once; bounds the work
/// that one message can cause.
pub const RATCHET_FORWARD: u32 = 10_000;

/// Messages that a Store query asks for in one page (nwaku answers 100 at most).
pub const HISTORY_PAGE: u32 = 100;
/// Bytes that a catch-up by time range takes before it turns to queries by topic.
pub const CATCH_UP_BUDGET: usize = 64 * 1024 * 1024;
/// Bytes that one query by topic may bring before its Store is taken to go on forever. A slot of
/// an account's topics, the inbox among them, is far below.
pub const TOPIC_QUERY_BUDGET: usize = 64 * 1024 * 1024;
/// What each message of a Store counts at least against the budgets, so that empty ones end too.
pub const HISTORY_MESSAGE_COST: usize = 512;
/// How far behind the local clock may be for Store to tell: history is asked for up to then, and
/// messages from after our present are samples of the right time.
pub const CLOCK_PROBE: Duration = Duration::from_secs(24 * 3600);
/// Time around a range within which other clocks may have put a message.
pub const CATCH_UP_MARGIN: Duration = Duration::from_secs(30);

/// The longest delay of what nobody has just asked for, in longest delays of an invitation: a minute on
/// the public network. Long enough that a busy shard carries much else in it, and as long as a user may
/// have to wait.
pub const QUIET_INVITATIONS: u32 = 2;
/// The shortest of these delays is the longest by this: what follows its cause within seconds gives the
/// cause away, however seldom it is.
pub const QUIET_SHORTEST: u32 = 4;
/// Fetches that nobody asked for which may follow one another without a pause: a device that meets
/// several people in an hour does not wait.
pub const QUIET_BURST: u32 = 8;
/// Fetches that nobody asked for in a slot, in the long run. Others can cause them, so there is a bound:
/// one in five minutes of the public network.
pub const QUIET_PER_SLOT: u32 = 12;
/// What is not understood is left alone for a part of a slot, a minute of an hour, since relay does not
/// keep order and most of it explains itself.
pub const DOUBT_PATIENCE: u32 = 60;
/// The shortest such time, where slots are short: as long as a relay may take to deliver.
pub const DOUBT_PATIENCE_MIN: Duration = Duration::from_secs(1);
/// How often a Store is asked for what would explain one doubt. A Store that did not have it four times
/// in an hour has lost it.
pub const DOUBT_LOOKS: u32 = 4;
/// By how much further back each of these looks reaches, in slots: the first begins with the slot before,
/// the others reach back 4, 16 and 64 slots more, the last of them over a weekend of the public network.
/// Those that follow, once in a slot, begin with 4 again.
pub const DOUBT_REACH: u32 = 4;
/// First pause between two such times, as a part of a slot: five minutes of an hour. It doubles, up to a
/// slot.
pub const DOUBT_PAUSE: u32 = 12;

/// Time for which a linking code can be answered, and the string typed: enough to walk from one
/// device to the other, and short for someone who saw the code over a shoulder.
pub const LINKING_CODE: Duration = Duration::from_secs(10 * 60);
/// Time for which both devices keep what a linking needs once its string was shown or typed: either
/// may be off for a night in the middle of it.
pub const LINKING_KEEP: Duration = Duration::from_secs(24 * 3600);
/// First pause after which a message of a linking that is not answered is published again, with no
/// Store to fetch it from; each further pause is twice as long.
pub const LINKING_REPEAT_MIN: Duration = Duration::from_secs(5);
/// Longest of these pauses.
pub const LINKING_REPEAT_MAX: Duration = Duration::from_secs(15 * 60);
/// Bytes that a device's name may have: a line on a screen.
pub const MAX_DEVICE_NAME: usize = 64;
/// Codes that a device answers at one time, so that no one fills its memory through its user.
pub const MAX_LINKINGS: usize = 4;

/// Difference between the local clock and those of others above which the user is warned: Database
/// drops what is more than 20 s off, and topics stop to match soon after.
pub const CLOCK_WARNING: Duration = Duration::from_secs(20);

/// The hash of a network's parameters; part of every label.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetworkId(pub [u8; 32]);

impl NetworkId {
    /// The bytes of the network id.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads an id from exactly 32 bytes.
    ///
    /// # Errors
    /// [`IdError::Length`] for any other number.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
        bytes.try_into().map(Self).map_err(|_| IdError::Length { expected: 32, found: bytes.len() })
    }
}

impl fmt::Debug for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkId(")?;
        for byte in &self.0[..4] {
            write!(f, "{byte:02x}")?;
        }
        write!(f, ")")
    }
}

/// Why parameters make no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// The name is empty or too long.
    #[error("a network's name has 1 to 64 bytes, not {0}")]
    Name(usize),
    /// No shard, or more than the protocol has.
    #[error("a network has 1 to 1024 shards, not {0}")]
    Shards(u32),
    /// Slots that are empty or longer than a day.
    #[error("a slot lasts 1 to 86400 seconds, not {0}")]
    Slot(u64),
    /// The delays exceed an hour.
    #[error("a delay lasts at most an hour, not {0} ms")]
    Delay(u64),
}

/// What may differ between networks. Members of one network hold the same values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkParams {
    /// Name, 1 to 64 bytes.
    pub name: String,
    /// The number of the Waku cluster.
    pub cluster: u32,
    /// Shards of the cluster, for autosharding.
    pub shards: u32,
    /// Seconds in a slot.
    pub slot_secs: u64,
    /// Longest random delay, in milliseconds, between a doorbell and its invitation: they are not
    /// to be paired by their time. The delay of what nobody has just asked for follows from it:
    /// [`quiet_delay`](Self::quiet_delay).
    pub invitation_delay_ms: u64,
    /// Delay unit, in milliseconds, of actions that any member may take (turning a wish to leave
    /// into a Remove): the first in rank waits one, the next two, so that one acts.
    pub rank_delay_ms: u64,
}

impl NetworkParams {
    /// The public default: Waku's cluster 2, whose eight shards carry no RLN.
    pub fn public() -> Self {
        Self {
            name: "waku-chat".into(),
            cluster: 2,
            shards: 8,
            slot_secs: 3600,
            invitation_delay_ms: 30_000,
            rank_delay_ms: 10_000,
        }
    }

    /// A fast network for the demo and for tests: slots of seconds and short delays, so that
    /// rotation can be watched. It gives less privacy, since few messages share a slot.
    pub fn fast() -> Self {
        Self {
            name: "waku-chat-fast".into(),
            cluster: 66,
            shards: 1,
            slot_secs: 5,
            invitation_delay_ms: 0,
            rank_delay_ms: 300,
        }
    }

    /// The longest random delay of what nobody has just asked for: fetches that others cause, and what
    /// waited for a connection. None where invitations have none.
    pub fn quiet_delay(&self) -> Duration {
        Duration::from_millis(self.invitation_delay_ms).saturating_mul(QUIET_INVITATIONS)
    }

    /// A part of a slot.
    pub fn part_of_slot(&self, of: u32) -> Duration {
        Duration::from_secs(self.slot_secs) / of.max(1)
    }

    /// Checks that the values make a network.
    ///
    /// # Errors
    /// The first value that does not.
    pub fn validate(&self) -> Result<(), ParamsError> {
        const HOUR_MS: u64 = 3_600_000;
        if self.name.is_empty() || self.name.len() > 64 {
            return Err(ParamsError::Name(self.name.len()));
        }
        if self.shards == 0 || self.shards > 1024 {
            return Err(ParamsError::Shards(self.shards));
        }
        if self.slot_secs == 0 || self.slot_secs > 86_400 {
            return Err(ParamsError::Slot(self.slot_secs));
        }
        match self.invitation_delay_ms.max(self.rank_delay_ms) {
            ms if ms > HOUR_MS => Err(ParamsError::Delay(ms)),
            _ => Ok(()),
        }
    }

    /// The hash of all values.
    pub fn id(&self) -> NetworkId {
        let mut hash = Sha256::new();
        hash.update(b"waku-chat/1 network");
        hash.update((self.name.len() as u64).to_be_bytes());
        hash.update(self.name.as_bytes());
        for value in [
            u64::from(self.cluster),
            u64::from(self.shards),
            self.slot_secs,
            self.invitation_delay_ms,
            self.rank_delay_ms,
        ] {
            hash.update(value.to_be_bytes());
        }
        NetworkId(hash.finalize().into())
    }

    /// The shard that carries all traffic: autosharding looks at application and version only.
    pub fn shard(&self) -> u32 {
        let digest: [u8; 32] =
            Sha256::digest(format!("{APPLICATION}{APPLICATION_VERSION}").as_bytes()).into();
        let mut last = [0; 8];
        last.copy_from_slice(&digest[24..]);
        (u64::from_be_bytes(last) % u64::from(self.shards.max(1))) as u32
    }

    /// The pubsub topic that carries all traffic, `/waku/2/rs/<cluster>/<shard>`.
    pub fn pubsub_topic(&self) -> String {
        format!("/waku/2/rs/{}/{}", self.cluster, self.shard())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_the_id() {
        let base = NetworkParams::public();
        let mut variants = vec![base.clone(); 6];
        variants[0].name.push('x');
        variants[1].cluster += 1;
        variants[2].shards += 1;
        variants[3].slot_secs += 1;
        variants[4].invitation_delay_ms += 1;
        variants[5].rank_delay_ms += 1;
        for variant in variants {
            assert_ne!(variant.id(), base.id(), "{variant:?}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let base = NetworkParams::public();
        assert_eq!(base.validate(), Ok(()));
        for bad in [
            NetworkParams { name: String::new(), ..base.clone() },
            NetworkParams { shards: 0, ..base.clone() },
            NetworkParams { slot_secs: 0, ..base.clone() },
            NetworkParams { rank_delay_ms: u64::MAX, ..base.clone() },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn one_shard_for_all() {
        let params = NetworkParams::public();
        assert!(params.shard() < 8);
        assert_eq!(NetworkParams::fast().pubsub_topic(), "/waku/2/rs/66/0");
    }
}
