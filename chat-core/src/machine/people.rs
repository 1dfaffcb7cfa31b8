//! The own account and installation, its keys that come and go by schedule, contacts, and requests.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::command::Answer;
use super::disposition::{Disposition, Refused};
use super::error::{CommandError, StepError};
use super::event::Event;
use super::lookups::Look;
use super::topics::INVITATION_SLOTS;
use super::view::{ContactView, RequestState, RequestView};
use super::{Done, Machine};
use crate::contact::card::{Card, CardKeyPackage, InboxPublic};
use crate::contact::doorbell::{self, DoorbellError, Purpose};
use crate::contact::inbox::InboxKey;
use crate::contact::link::{CardSecret, ContactLink, LinkError};
use crate::group::package::OwnPackage;
use crate::identity::credential::{Credential, CredentialError};
use crate::identity::installation::InstallationKey;
use crate::identity::log::Log;
use crate::ids::{AccountId, RequestId};
use crate::params::{
    CATCH_UP_MARGIN, INBOX_KEY_KEEP, INBOX_KEY_PERIOD, KEY_PACKAGE_KEEP, KEY_PACKAGE_PERIOD,
    KEY_PACKAGE_USE, MAX_NAME, MAX_REQUESTS, NetworkId,
};
use crate::store::{Keyed, Timed};
use crate::time::{Slot, Timestamp};
use crate::wire::sync::{RequestAnswer, SyncItem};

/// The own identity, as stored.
#[derive(Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) account: AccountId,
    key: Zeroizing<[u8; 32]>,
    card_secret: Zeroizing<[u8; 32]>,
    #[serde(with = "serde_bytes")]
    log: Vec<u8>,
    /// The credential as it was while the installation was active; empty: the log gives it.
    #[serde(default, with = "serde_bytes")]
    credential: Vec<u8>,
    pub(super) created_at: Timestamp,
}

/// The own identity, in memory.
pub(super) struct Me {
    pub(super) account: AccountId,
    pub(super) key: InstallationKey,
    pub(super) log: Log,
    pub(super) credential: Credential,
    pub(super) card_secret: CardSecret,
    pub(super) created_at: Timestamp,
}

impl Identity {
    pub(super) fn new(
        key: &InstallationKey,
        card_secret: &CardSecret,
        log: &Log,
        created_at: Timestamp,
    ) -> Self {
        Self {
            account: log.account(),
            key: key.to_bytes(),
            card_secret: Zeroizing::new(*card_secret.as_bytes()),
            log: log.encode(),
            credential: Vec::new(),
            created_at,
        }
    }

    /// As it is in memory now.
    pub(super) fn of(me: &Me) -> Self {
        let credential = me.credential.encode();
        Self { credential, ..Self::new(&me.key, &me.card_secret, &me.log, me.created_at) }
    }

    pub(super) fn open(self, network: &NetworkId) -> Result<Me, StepError> {
        let bad = |what: &str| StepError::State(format!("the own identity: {what}"));
        let key = InstallationKey::from_bytes(self.key);
        let log = Log::decode(&self.log, network).map_err(|error| bad(&error.to_string()))?;
        let credential = match Credential::for_installation(&log, &key.id()) {
            Ok(credential) => credential,
            // Revoked: what it was a member by is kept, to read what it still may.
            Err(CredentialError::NotActive) => {
                { Credential::decode(&self.credential, network).map(|member| member.credential()) }
                    .map_err(|error| bad(&error.to_string()))?
            }
            Err(error) => return Err(bad(&error.to_string())),
        };
        Ok(Me {
            account: self.account,
            key,
            credential,
            log,
            card_secret: CardSecret::from_bytes(self.card_secret),
            created_at: self.created_at,
        })
    }
}

/// An own inbox key, as stored.
#[derive(Serialize, Deserialize)]
pub(super) struct InboxRecord {
    pub(super) secret: Zeroizing<[u8; 32]>,
    pub(super) made_at: Timestamp,
    /// Whether an installation that was revoked since has it too: cards do not name it any more.
    #[serde(default)]
    pub(super) retired: bool,
}

/// An own key package, as stored, with the private half of the inbox key in its leaf.
#[derive(Serialize, Deserialize)]
pub(super) struct PackageRecord {
    pub(super) package: OwnPackage,
    pub(super) inbox: Zeroizing<[u8; 32]>,
}

/// Somebody else.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Contact {
    pub(super) account: AccountId,
    /// None: known only as blocked, or as one that was removed.
    pub(super) secret: Option<Zeroizing<[u8; 32]>>,
    pub(super) card: Option<Vec<u8>>,
    pub(super) name: Option<String>,
    pub(super) blocked: bool,
    /// When this account's user changed it last, on whichever installation.
    #[serde(default)]
    pub(super) changed_at: Timestamp,
    /// Where looking for its cards stands.
    #[serde(default)]
    pub(super) look: Look,
}

impl Contact {
    /// Somebody of whom nothing is known.
    pub(super) fn unknown(account: AccountId) -> Self {
        Self {
            account,
            secret: None,
            card: None,
            name: None,
            blocked: false,
            changed_at: Timestamp(0),
            look: Look::default(),
        }
    }

    /// Whether there is something to show: a contact, or a block.
    pub(super) fn is_shown(&self) -> bool {
        self.secret.is_some() || self.blocked
    }

    pub(super) fn card(&self, network: &NetworkId) -> Option<Card> {
        Card::decode_stored(self.card.as_deref()?, network).ok()
    }

    pub(super) fn view(&self, network: &NetworkId) -> ContactView {
        let usable_until = self.card(network).and_then(|card| {
            card.content().key_packages.iter().map(|package| package.usable_until).max()
        });
        ContactView {
            account: self.account,
            name: self.name.clone(),
            usable_until,
            blocked: self.blocked,
            pending: self.secret.is_some() && self.card.is_none() && !self.blocked,
        }
    }
}

/// An invitation that was offered.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct RequestRecord {
    pub(super) id: RequestId,
    pub(super) from: AccountId,
    pub(super) secret: Zeroizing<[u8; 32]>,
    pub(super) slot: Slot,
    pub(super) group_name: String,
    pub(super) received_at: Timestamp,
    pub(super) state: RequestState,
    /// Whether the user was asked and said yes; not so where a contact invites.
    #[serde(default)]
    pub(super) asked: bool,
    /// What came in its place and was none.
    #[serde(default)]
    pub(super) failures: u32,
    /// Whether the time that the invitation can lie in has yet to be fetched, apart from all else.
    #[serde(default)]
    pub(super) seek: bool,
    /// Whether another installation of the account accepted it, and joins in any case.
    #[serde(default)]
    pub(super) elsewhere: bool,
}

/// How many doorbells may be tried, refilled with time.
#[derive(Debug)]
pub(super) struct Budget {
    left: f64,
    at: Timestamp,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: f64::from(crate::params::DOORBELL_BURST), at: Timestamp(0) }
    }
}

impl Budget {
    fn refill(&mut self, now: Timestamp) {
        let gained =
            now.since(self.at).as_secs_f64() * f64::from(crate::params::DOORBELL_PER_SECOND);
        self.left = (self.left + gained).min(f64::from(crate::params::DOORBELL_BURST));
        // Also where the clock was set back: it must not starve until it is there again.
        self.at = now;
    }

    /// For one that came just now; false: it is not to be tried now.
    fn take(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }

    /// For one of history, which does not come again: it is tried in any case, and what follows it
    /// waits until the budget has recovered.
    fn owe(&mut self, now: Timestamp) {
        self.refill(now);
        self.left -= 1.0;
    }

    /// When nothing is owed any more; none: nothing is.
    pub(super) fn recovers_at(&self, now: Timestamp) -> Option<Timestamp> {
        let wait = -self.left / f64::from(crate::params::DOORBELL_PER_SECOND);
        (wait > 0.0).then(|| now + Duration::from_secs_f64(wait))
    }
}

impl Machine {
    /// Deletes private keys whose time is over. New ones are made when they are asked for.
    ///
    /// The own clock alone ends nothing: one that is weeks ahead would take keys that are in use.
    pub(super) fn expire_keys(&mut self) -> Result<(), StepError> {
        let now = self.catch_up.complete_to.min(self.now);
        self.store.prune_timed(Timed::KeyPackage, now - KEY_PACKAGE_KEEP)?;
        self.store.prune_used_packages(now - INBOX_KEY_KEEP.max(KEY_PACKAGE_KEEP))?;
        if self.store.prune_timed(Timed::InboxKey, now - INBOX_KEY_KEEP)? > 0 {
            self.load_inbox_keys()?;
        }
        Ok(())
    }

    pub(super) fn load_inbox_keys(&mut self) -> Result<(), StepError> {
        self.inbox_keys = self
            .store
            .all_timed::<InboxRecord>(Timed::InboxKey)?
            .iter()
            .map(|record| InboxKey::from_secret(&record.secret, record.made_at))
            .collect();
        // The newest first: it is the likeliest to open.
        self.inbox_keys.reverse();
        Ok(())
    }

    /// The inbox key of this week, which all installations of the account have.
    pub(super) fn current_inbox_key(&mut self) -> Result<InboxPublic, StepError> {
        let newest = self
            .store
            .all_timed::<InboxRecord>(Timed::InboxKey)?
            .into_iter()
            .rfind(|record| !record.retired && record.made_at <= self.now);
        let key = match newest.filter(|it| self.now.since(it.made_at) < INBOX_KEY_PERIOD) {
            Some(record) => InboxKey::from_secret(&record.secret, record.made_at),
            None => self.new_inbox_key()?,
        };
        Ok(InboxPublic { key: key.public(), usable_until: key.usable_until() })
    }

    /// Makes an inbox key, and gives it to the account's other installations.
    pub(super) fn new_inbox_key(&mut self) -> Result<InboxKey, StepError> {
        let key = InboxKey::generate(&mut *self.rng.lock(), self.now);
        self.keep_inbox_key(&key)?;
        self.sync(vec![SyncItem::InboxKey { secret: key.secret(), made_at: self.now }])?;
        Ok(key)
    }

    pub(super) fn keep_inbox_key(&mut self, key: &InboxKey) -> Result<(), StepError> {
        let made_at = key.made_at();
        let record = InboxRecord { secret: key.secret(), made_at, retired: false };
        self.store.set_timed(Timed::InboxKey, &key.public(), made_at, &record)?;
        self.load_inbox_keys()
    }

    /// An installation that has the inbox keys was revoked: what there is stays open, for those who
    /// know no other yet, and is given to nobody any more.
    pub(super) fn retire_inbox_keys(&mut self) -> Result<(), StepError> {
        for record in self.store.all_timed::<InboxRecord>(Timed::InboxKey)? {
            let key = InboxKey::from_secret(&record.secret, record.made_at);
            let retired = InboxRecord { retired: true, ..record };
            self.store.set_timed(Timed::InboxKey, &key.public(), retired.made_at, &retired)?;
        }
        Ok(())
    }

    /// The key packages in the account's card: of this installation, and of the others as far as
    /// they are known and may be used.
    pub(super) fn card_packages(&mut self) -> Result<Vec<CardKeyPackage>, StepError> {
        let mut packages = vec![self.current_package()?];
        let others = self.own_records()?;
        packages.extend(others.into_iter().filter_map(|record| {
            let usable = record.usable_until.filter(|until| *until > self.now)?;
            Some(CardKeyPackage {
                installation: record.id,
                usable_until: usable,
                bytes: record.package,
            })
        }));
        let active = &self.me.log.state().active;
        packages.retain(|package| active.contains_key(&package.installation));
        Ok(packages)
    }

    /// The key package of this day.
    pub(super) fn current_package(&mut self) -> Result<CardKeyPackage, StepError> {
        let newest = self.store.all_timed::<PackageRecord>(Timed::KeyPackage)?.pop();
        let fresh = |record: &PackageRecord| {
            let made_at = record.package.made_at;
            made_at <= self.now && self.now.since(made_at) < KEY_PACKAGE_PERIOD
        };
        let record = match newest.filter(fresh) {
            Some(record) => record,
            None => {
                let inbox = InboxKey::generate(&mut *self.rng.lock(), self.now);
                let package = OwnPackage::make(
                    &self.rng,
                    &self.me.key,
                    &self.me.credential.encode(),
                    &inbox.public(),
                    self.now,
                )?;
                let record = PackageRecord { package, inbox: inbox.secret() };
                let reference = &record.package.reference;
                self.store.set_timed(Timed::KeyPackage, reference, self.now, &record)?;
                self.sync(vec![SyncItem::KeyPackage {
                    usable_until: record.package.made_at + KEY_PACKAGE_USE,
                    bytes: record.package.public.clone(),
                }])?;
                record
            }
        };
        Ok(CardKeyPackage {
            installation: self.me.key.id(),
            usable_until: record.package.made_at + KEY_PACKAGE_USE,
            bytes: record.package.public,
        })
    }

    pub(super) fn add_contact(&mut self, link: &str, name: Option<String>) -> Done<Answer> {
        let bad = |error: LinkError| CommandError::BadLink { reason: error.to_string() };
        let link = ContactLink::parse(link, &self.network, self.now).map_err(bad)?;
        if link.account == self.me.account {
            return Err(CommandError::OwnAccount.into());
        }
        if let Some(name) = &name {
            check_length("the name", name, MAX_NAME)?;
        }
        let key = link.account.as_bytes();
        let known: Option<Contact> = self.store.keyed(Keyed::Contact, key)?;
        let mut contact = known.unwrap_or_else(|| Contact::unknown(link.account));
        contact.secret = Some(Zeroizing::new(*link.secret.as_bytes()));
        contact.name = name.or(contact.name);
        contact.blocked = false;
        if let Some(card) = link.card {
            self.take_card(&mut contact, &card)?
                .map_err(|error| CommandError::BadLink { reason: error.to_string() })?;
        } else {
            // Whoever gives a link again may have published since it was looked for.
            contact.look.look_again(self.now);
        }
        self.change_contact(&mut contact)?;
        Ok(Answer::Contact(contact.view(&self.network)))
    }

    pub(super) fn remove_contact(&mut self, account: &AccountId) -> Done<Answer> {
        let contact = self.known_contact(account)?;
        // A block outlives the contact; and that it was removed is told to other installations.
        let look = Look::default();
        let mut rest = Contact { secret: None, card: None, name: None, look, ..contact };
        self.change_contact(&mut rest)?;
        Ok(Answer::Done)
    }

    /// Writes a contact that the user changed, and tells the other installations.
    fn change_contact(&mut self, contact: &mut Contact) -> Result<(), StepError> {
        // Never behind what it was, or the change would count for nothing elsewhere.
        contact.changed_at = self.now.max(contact.changed_at + Duration::from_millis(1));
        self.save_contact(contact)?;
        self.sync(vec![contact.item()])
    }

    pub(super) fn known_contact(&self, account: &AccountId) -> Done<Contact> {
        if *account == self.me.account {
            return Err(CommandError::OwnAccount.into());
        }
        self.contact(account)?
            .filter(|contact| contact.secret.is_some())
            .ok_or_else(|| CommandError::UnknownContact { account: *account }.into())
    }

    pub(super) fn contact(&self, account: &AccountId) -> Result<Option<Contact>, StepError> {
        Ok(self.store.keyed(Keyed::Contact, account.as_bytes())?)
    }

    /// Tries to open a doorbell that was sent at a moment: everybody does, within a budget.
    pub(super) fn on_doorbell(
        &mut self,
        body: &[u8],
        sent_at: Timestamp,
        live: bool,
    ) -> Result<Disposition, StepError> {
        if !live {
            self.doorbells.owe(self.now);
        } else if !self.doorbells.take(self.now) {
            // History has it, and is fetched no faster than the budget allows.
            self.backfill(sent_at);
            return Ok(Disposition::Refused(Refused::Budget));
        }
        let doorbell = match doorbell::answer(body, &self.inbox_keys, &self.network) {
            Ok(Some(doorbell)) => doorbell,
            Ok(None) => return Ok(Disposition::NotForUs),
            Err(error) => {
                tracing::debug!(%error, "a doorbell is refused");
                return Ok(Disposition::Refused(match error {
                    DoorbellError::Credential(_) => Refused::Credential,
                    DoorbellError::Signature(_) => Refused::Authentication,
                    _ => Refused::Content,
                }));
            }
        };
        let from = doorbell.inviter.account;
        if from == self.me.account {
            return Ok(Disposition::Refused(Refused::Replay));
        }
        let contact = self.contact(&from)?;
        if contact.as_ref().is_some_and(|contact| contact.blocked) {
            return Ok(Disposition::Refused(Refused::Blocked));
        }
        let Purpose::Invitation(offer) = doorbell.purpose;
        // History is fetched from the offer's slot on, so that is not any that somebody names.
        let sent_in = Slot::at(sent_at, self.params.slot_secs);
        if !(sent_in.back(INVITATION_SLOTS)..=sent_in.next()).contains(&offer.slot) {
            return Ok(Disposition::Refused(Refused::Content));
        }
        let mark = [b"doorbell".as_slice(), doorbell.id.as_bytes()].concat();
        if !self.store.mark_package(&mark, self.now)? {
            return Ok(Disposition::Duplicate);
        }
        let is_contact = contact.is_some_and(|contact| contact.secret.is_some());
        let request = RequestRecord {
            id: doorbell.id,
            from,
            secret: offer.secret.clone(),
            slot: offer.slot,
            group_name: offer.group_name.clone(),
            received_at: self.now,
            state: if is_contact { RequestState::Accepted } else { RequestState::Pending },
            asked: false,
            failures: 0,
            seek: false,
            elsewhere: false,
        };
        match self.answered_elsewhere(&doorbell.id)? {
            Some(RequestAnswer::Decline) => return Ok(Disposition::Doorbell(doorbell.id)),
            Some(RequestAnswer::Accept) => {
                self.make_room_for_request()?;
                self.accept_elsewhere(request)?;
                return Ok(Disposition::Doorbell(doorbell.id));
            }
            None => {}
        }
        self.make_room_for_request()?;
        if is_contact {
            self.await_invitation(request)?;
        } else {
            self.save_request(&request)?;
            let view = self.request_view(&request)?;
            self.tell(Event::RequestReceived { request: view })?;
        }
        Ok(Disposition::Doorbell(doorbell.id))
    }

    fn make_room_for_request(&mut self) -> Result<(), StepError> {
        while self.requests.len() >= MAX_REQUESTS {
            // Unanswered ones go first; they are the ones that strangers can make.
            let oldest = self
                .requests
                .values()
                .min_by_key(|r| (r.state == RequestState::Accepted, r.received_at, r.id))
                .map(|request| request.id);
            match oldest {
                Some(id) => self.forget_request(&id)?,
                None => break,
            }
        }
        Ok(())
    }

    pub(super) fn forget_request(&mut self, id: &RequestId) -> Result<(), StepError> {
        self.requests.remove(id);
        self.index.clear();
        self.watch_changed = true;
        Ok(self.store.delete_timed(Timed::Request, id.as_bytes())?)
    }

    fn save_request(&mut self, request: &RequestRecord) -> Result<(), StepError> {
        self.requests.insert(request.id, request.clone());
        let at = request.received_at;
        Ok(self.store.set_timed(Timed::Request, request.id.as_bytes(), at, request)?)
    }

    /// Between when and when an invitation may be sent.
    fn invitation_time(&self, request: &RequestRecord) -> (Timestamp, Timestamp) {
        let last = Slot(request.slot.0.saturating_add(INVITATION_SLOTS));
        let slot_secs = self.params.slot_secs;
        (request.slot.previous().start(slot_secs), last.next().start(slot_secs) + CATCH_UP_MARGIN)
    }

    /// Listens for an invitation, and looks for it in what was already sent.
    pub(super) fn await_invitation(&mut self, request: RequestRecord) -> Result<(), StepError> {
        self.index.clear();
        self.watch_changed = true;
        let (from, until) = self.invitation_time(&request);
        // Long after its time, all that was sent since is not fetched again for it.
        let seek = until <= self.catch_up.complete_to;
        if !seek {
            self.backfill(from);
        }
        self.save_request(&RequestRecord { seek, ..request })
    }

    /// The next invitation whose time is to be fetched apart: between when and when.
    pub(super) fn next_to_seek(&self) -> Option<(RequestId, Timestamp, Timestamp)> {
        let request = self
            .requests
            .values()
            .find(|request| request.seek && request.state == RequestState::Accepted)?;
        let (from, until) = self.invitation_time(request);
        Some((request.id, from, until))
    }

    /// The time that an invitation can lie in was fetched.
    pub(super) fn was_sought(&mut self, id: &RequestId) -> Result<(), StepError> {
        match self.requests.get(id).cloned() {
            Some(request) => self.save_request(&RequestRecord { seek: false, ..request }),
            None => Ok(()),
        }
    }

    /// Gives up invitations that were accepted and cannot come any more: everything that was sent in
    /// their time was fetched.
    pub(super) fn expire_requests(&mut self) -> Result<(), StepError> {
        let over: Vec<(RequestId, bool)> = self
            .requests
            .values()
            .filter(|request| request.state == RequestState::Accepted && !request.seek)
            .filter(|request| self.invitation_time(request).1 <= self.catch_up.complete_to)
            // What this user did not accept here concerns another installation.
            .map(|request| (request.id, request.elsewhere))
            .collect();
        for (request, silent) in over {
            self.forget_request(&request)?;
            if silent {
                continue;
            }
            let reason = "it was not found: ask for another one".into();
            self.tell(Event::RequestFailed { request, reason })?;
        }
        Ok(())
    }

    pub(super) fn answer_request(&mut self, id: &RequestId, answer: Reply) -> Done<Answer> {
        let request = self.requests.get(id).cloned().ok_or(CommandError::UnknownRequest)?;
        let said = match answer {
            Reply::Accept => RequestAnswer::Accept,
            Reply::Decline | Reply::Block => RequestAnswer::Decline,
        };
        self.sync(vec![SyncItem::Answer { request: *id, answer: said }])?;
        match answer {
            Reply::Accept => {
                let request =
                    RequestRecord { state: RequestState::Accepted, asked: true, ..request };
                self.await_invitation(request)?;
            }
            Reply::Decline => self.forget_request(id)?,
            Reply::Block => {
                let known = self.contact(&request.from)?;
                let known = known.unwrap_or_else(|| Contact::unknown(request.from));
                self.change_contact(&mut Contact { blocked: true, ..known })?;
                let theirs: Vec<RequestId> = self
                    .requests
                    .values()
                    .filter(|other| other.from == request.from)
                    .map(|other| other.id)
                    .collect();
                for id in theirs {
                    self.forget_request(&id)?;
                }
            }
        }
        Ok(Answer::Done)
    }

    pub(super) fn request_view(&self, request: &RequestRecord) -> Result<RequestView, StepError> {
        Ok(RequestView {
            id: request.id,
            from: request.from,
            name: self.contact(&request.from)?.and_then(|contact| contact.name),
            group_name: request.group_name.clone(),
            received_at: request.received_at,
            state: request.state,
        })
    }
}

/// What a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Accept,
    Decline,
    Block,
}

pub(super) fn check_length(what: &str, text: &str, max: usize) -> Result<(), CommandError> {
    if text.len() > max {
        return Err(CommandError::TooLong { what: what.into(), size: text.len(), max });
    }
    Ok(())
}
