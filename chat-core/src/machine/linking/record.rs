//! What a new device keeps of its linking, and how it talks.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::rendezvous::address;
use super::repeated::Repeated;
use crate::database::Database;
use crate::identity::installation::InstallationKey;
use crate::identity::linking::{
    EndCode, Ending, LinkingAnswer, LinkingCode, LinkingKey, LinkingString, Step, Transcript, seal,
};
use crate::ids::{AccountId, InstallationId, LinkingId};
use crate::machine::account::me::Identity;
use crate::machine::api::error::StepError;
use crate::machine::api::linking::{NewcomerState, NewcomerView};
use crate::machine::parcel::Parcel;
use crate::params::{LINKING_KEEP, NetworkId, NetworkParams};
use crate::random::SharedRng;
use crate::time::Timestamp;

/// Where the linking of a new device is in the database.
const NEWCOMER: &str = "newcomer";
/// Answers that were ended before they came, which are remembered.
const MAX_VOID: usize = 8;

/// The own linking of a new device, as stored.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::machine) struct NewcomerRecord {
    pub(in crate::machine) id: LinkingId,
    pub(in crate::machine) network: NetworkId,
    pub(in crate::machine) name: String,
    pub(in crate::machine) state: NewcomerState,
    /// Until when the code can be answered.
    pub(in crate::machine) code_until: Timestamp,
    /// Until when this waits at most.
    pub(in crate::machine) until: Timestamp,
    /// What is forgotten when it is over.
    open: Option<Open>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Open {
    code: LinkingCode,
    key: Zeroizing<[u8; 32]>,
    /// The installation's key; none once it is with the identity.
    installation: Option<Zeroizing<[u8; 32]>>,
    answer: Option<Answered>,
    /// The transcript so far.
    so_far: Transcript,
    string: Option<LinkingString>,
    /// Answers that were ended before they came.
    void: Vec<(Transcript, EndCode)>,
    said: Option<Repeated>,
    /// Whether the arrival was said.
    arrived: bool,
    /// Hash of the last message of the grantor's that was dealt with.
    heard: Option<[u8; 32]>,
    /// Whether the user was told of another answer.
    warned: bool,
    failures: u32,
}

/// The answer that counts.
#[derive(Clone, Serialize, Deserialize)]
struct Answered {
    key: [u8; 32],
    account: AccountId,
    installation: InstallationId,
    commitment: [u8; 32],
    /// The transcript up to it.
    transcript: Transcript,
}

impl std::fmt::Debug for NewcomerRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewcomerRecord({}, {:?})", self.id, self.state)
    }
}

impl NewcomerRecord {
    /// What a database has of a linking, if it has one.
    pub(in crate::machine) fn load(db: &Database) -> Result<Option<Self>, StepError> {
        Ok(db.meta(NEWCOMER)?)
    }

    pub(in crate::machine) fn save(&self, db: &Database) -> Result<(), StepError> {
        Ok(db.set_meta(NEWCOMER, self)?)
    }

    /// Whether a database belongs to a device that waits to be linked.
    pub(in crate::machine) fn is_waiting(db: &Database) -> Result<bool, StepError> {
        let waits = Self::load(db)?.is_some_and(|record| !record.is_over());
        Ok(waits && Identity::network(db)?.is_none())
    }

    /// A new code, for a device of this name.
    pub(in crate::machine) fn new(
        rng: &SharedRng,
        name: String,
        now: Timestamp,
        network: NetworkId,
    ) -> Self {
        let mut rng = rng.lock();
        let key = LinkingKey::generate(&mut *rng);
        let installation = InstallationKey::generate(&mut *rng);
        let code = LinkingCode::new(&mut *rng, key.public(), now);
        Self {
            id: code.id(&network),
            network,
            name,
            state: NewcomerState::Waiting,
            code_until: code.until(),
            until: code.until(),
            open: Some(Open {
                so_far: code.transcript(&network),
                code,
                key: key.secret(),
                installation: Some(installation.to_bytes()),
                answer: None,
                string: None,
                void: Vec::new(),
                said: None,
                arrived: false,
                heard: None,
                warned: false,
                failures: 0,
            }),
        }
    }

    pub(in crate::machine) fn view(&self) -> NewcomerView {
        let open = self.open.as_ref();
        let answer = open.and_then(|open| open.answer.as_ref());
        NewcomerView {
            id: self.id,
            state: self.state,
            until: self.code_until,
            name: self.name.clone(),
            account: answer.map(|answer| answer.account),
            grantor: answer.map(|answer| answer.installation),
            string: open.and_then(|open| open.string).map(|string| string.to_string()),
        }
    }

    pub(in crate::machine) fn is_over(&self) -> bool {
        self.open.is_none()
    }

    pub(in crate::machine) fn code(&self) -> Option<&LinkingCode> {
        self.open.as_ref().map(|open| &open.code)
    }

    pub(in crate::machine) fn key(&self) -> Option<LinkingKey> {
        self.open.as_ref().map(|open| LinkingKey::from_secret(&open.key))
    }

    /// The installation's key, until the identity has it.
    pub(in crate::machine) fn installation(&self) -> Option<InstallationKey> {
        let seed = self.open.as_ref()?.installation.as_ref()?;
        Some(InstallationKey::from_bytes(seed.clone()))
    }

    pub(in crate::machine) fn so_far(&self) -> Option<Transcript> {
        self.open.as_ref().map(|open| open.so_far)
    }

    pub(in crate::machine) fn account(&self) -> Option<AccountId> {
        Some(self.open.as_ref()?.answer.as_ref()?.account)
    }

    pub(in crate::machine) fn grantor(&self) -> Option<InstallationId> {
        Some(self.open.as_ref()?.answer.as_ref()?.installation)
    }

    pub(in crate::machine) fn commitment(&self) -> Option<[u8; 32]> {
        Some(self.open.as_ref()?.answer.as_ref()?.commitment)
    }

    pub(in crate::machine) fn said(&self) -> Option<&Repeated> {
        self.open.as_ref()?.said.as_ref()
    }

    pub(in crate::machine) fn say_again(&mut self, now: Timestamp) {
        if let Some(said) = self.open.as_mut().and_then(|open| open.said.as_mut()) {
            said.again(now);
        }
    }

    pub(in crate::machine) fn has_arrived(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.arrived)
    }

    pub(in crate::machine) fn was_heard(&self, hash: &[u8; 32]) -> bool {
        self.open.as_ref().is_some_and(|open| open.heard.as_ref() == Some(hash))
    }

    pub(in crate::machine) fn heard(&mut self, hash: [u8; 32]) {
        if let Some(open) = &mut self.open {
            open.heard = Some(hash);
        }
    }

    /// Notes that another answer came; true the first time.
    pub(in crate::machine) fn warn(&mut self) -> bool {
        self.open.as_mut().is_some_and(|open| !std::mem::replace(&mut open.warned, true))
    }

    /// Notes that all was said. Until the code can be answered no more this listens for another
    /// answer.
    pub(in crate::machine) fn done(&mut self) {
        if let Some(open) = &mut self.open {
            open.said = None;
        }
        self.state = NewcomerState::Done;
        self.until = self.code_until;
    }

    pub(in crate::machine) fn failures(&self) -> u32 {
        self.open.as_ref().map_or(0, |open| open.failures)
    }

    pub(in crate::machine) fn count_failure(&mut self) {
        if let Some(open) = &mut self.open {
            open.failures = open.failures.saturating_add(1);
        }
    }

    /// Whether the text of an answer is that of the one that counts.
    pub(in crate::machine) fn is_the_answer(&self, text: &[u8], network: &NetworkId) -> bool {
        let Some(open) = &self.open else { return false };
        let begin = open.code.transcript(network);
        self.is_answered_by(&begin.then(Step::Answer, text, network))
    }

    /// Whether the answer that counts is this one.
    pub(in crate::machine) fn is_answered_by(&self, transcript: &Transcript) -> bool {
        let answer = self.open.as_ref().and_then(|open| open.answer.as_ref());
        answer.is_some_and(|answer| answer.transcript == *transcript)
    }

    /// Remembers that an answer was ended before it came.
    pub(in crate::machine) fn make_void(&mut self, ending: &Ending) {
        if let Some(open) = &mut self.open
            && open.void.len() < MAX_VOID
        {
            open.void.push((ending.answer, ending.code));
        }
    }

    /// Takes in the text of the first answer; why it is over already, if it is.
    pub(in crate::machine) fn take_answer(
        &mut self,
        answer: &LinkingAnswer,
        text: &[u8],
        network: &NetworkId,
    ) -> Option<EndCode> {
        let open = self.open.as_mut()?;
        open.so_far = open.so_far.then(Step::Answer, text, network);
        open.answer = Some(Answered {
            key: answer.key,
            account: answer.account,
            installation: answer.installation,
            commitment: answer.commitment,
            transcript: open.so_far,
        });
        open.void.iter().find(|(void, _)| *void == open.so_far).map(|(_, code)| *code)
    }

    /// Notes what the grantor said.
    pub(in crate::machine) fn listen(&mut self, step: Step, text: &[u8], network: &NetworkId) {
        if let Some(open) = &mut self.open {
            open.so_far = open.so_far.then(step, text, network);
        }
    }

    /// Takes in the grantor's nonce: from here on the string is shown, and whoever is to type it may
    /// be off for a while afterwards.
    pub(in crate::machine) fn reveal(&mut self, nonce: &[u8; 32], network: &NetworkId) {
        if let Some(open) = &mut self.open {
            open.string = Some(LinkingString::derive(&open.so_far, nonce, network));
            open.said = None;
        }
        self.state = NewcomerState::ShowsString;
        self.until = self.code_until + LINKING_KEEP;
    }

    /// Notes that the device is an installation now: the identity has its key.
    pub(in crate::machine) fn granted(&mut self, now: Timestamp) {
        if let Some(open) = &mut self.open {
            open.installation = None;
            open.string = None;
            open.said = None;
        }
        self.state = NewcomerState::Linked;
        self.until = now + LINKING_KEEP;
    }

    /// Seals the next message to the grantor.
    pub(in crate::machine) fn say(
        &mut self,
        rng: &SharedRng,
        step: Step,
        text: &[u8],
        asks: bool,
        now: Timestamp,
        network: &NetworkId,
    ) -> Result<(), String> {
        let open = self.open.as_mut().ok_or("the linking is over")?;
        let to = open.answer.as_ref().ok_or("nobody has answered")?.key;
        let body = seal(&mut *rng.lock(), &to, step, &open.so_far, text, network)
            .map_err(|error| error.to_string())?;
        open.so_far = open.so_far.then(step, text, network);
        open.said = Some(Repeated::new(body, asks, now));
        open.arrived |= step == Step::Arrival;
        Ok(())
    }

    /// What tells whoever made an answer that it is over.
    pub(in crate::machine) fn ending(
        &self,
        code: EndCode,
        to: &[u8; 32],
        answer: Transcript,
        rng: &SharedRng,
        now: Timestamp,
        params: &NetworkParams,
    ) -> Option<Parcel> {
        let open = self.open.as_ref()?;
        let begin = open.code.transcript(&self.network);
        let text = Ending { code, answer }.encode();
        let step = Step::EndByNewcomer;
        let body = seal(&mut *rng.lock(), to, step, &begin, &text, &self.network).ok()?;
        let frame = Repeated::new(body, false, now).frame;
        Some(Parcel { address: address(&open.code, now + LINKING_KEEP, params), frame, item: None })
    }

    /// The same, for the answer that counts.
    pub(in crate::machine) fn ending_to_grantor(
        &self,
        code: EndCode,
        rng: &SharedRng,
        now: Timestamp,
        params: &NetworkParams,
    ) -> Option<Parcel> {
        let answer = self.open.as_ref()?.answer.as_ref()?;
        self.ending(code, &answer.key, answer.transcript, rng, now, params)
    }

    /// Notes that it is over, and forgets its secrets.
    pub(in crate::machine) fn close(&mut self, state: NewcomerState) {
        self.state = state;
        self.open = None;
    }
}
