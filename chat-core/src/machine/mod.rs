//! The one door of the protocol: [`Machine::step`] takes an input and a moment, changes the database
//! in one transaction, and answers with outputs.
//!
//! The machine is made of parts. Each owns its state and its methods, is lent a context (`cx`) for a
//! step, and asks other parts by effects (`effect`). From the lowest floor to the highest:
//!
//! - `api`: commands, events, views, errors. Imports no part.
//! - `cx`, `effect`, `parcel`: what a step lends to a part, what parts ask of one another, and what
//!   is to be published.
//! - `net`: the outbox, history from a Store, doubts, the scheduler, watched topics, the clock check.
//! - `account`: this account and installation: keys, card, other installations, recovery.
//! - `people`: other accounts: contacts and their cards, requests, logs.
//! - `linking`: what each side of a linking keeps and says.
//! - `group`: one group: its commits, messages and intents, and the branch that it follows.
//! - `assembly`: the machine as the sum of these, opened and loaded.
//! - `flows`: what takes several parts: joining, the self group, reconciling, recovery.
//! - `route`: the two ways that data flows, in and out, and the step that drives them.
//! - `newcomer`: the smaller machine that a new device is until it has an account.

mod account;
mod api;
mod assembly;
mod cx;
mod effect;
mod flows;
mod group;
mod linking;
mod net;
mod newcomer;
mod parcel;
mod people;
mod route;
#[cfg(test)]
mod testing;

pub use api::command::{Answer, Command, PhraseWords};
pub use api::disposition::{Counters, Deferred, Disposition, Refused};
pub use api::error::{CommandError, OpenError, StepError};
pub use api::event::Event;
pub use api::io::{CommandId, Inbound, Input, OutboxId, Output, PublishFailure, QueryId};
pub use api::linking::{LinkingState, LinkingView, NewcomerState, NewcomerView};
pub use api::view::{
    ContactView, GroupView, IdentityView, InstallationView, MemberView, Membership, MessageView,
    MissingView, RequestState, RequestView, RevocationView,
};
pub use assembly::Machine;
pub use newcomer::Newcomer;
