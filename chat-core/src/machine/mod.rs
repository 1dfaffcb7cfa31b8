//! The one door of the protocol: [`Machine::step`] takes an input and a moment, changes the database
//! in one transaction, and answers with outputs.
//!
//! Two files read as the two ways that data flows: `inbound` (open, decode, choose the state, apply,
//! converge, record, tell) and `outbound` (command, intent, commit or message, frame, outbox).

mod command;
mod disposition;
mod error;
mod event;
mod io;
mod view;

pub use command::{Answer, Command};
pub use disposition::{Counters, Deferred, Disposition, Refused};
pub use error::{CommandError, StepError};
pub use event::Event;
pub use io::{CommandId, Inbound, Input, OutboxId, Output, PublishFailure, QueryId};
pub use view::{
    ContactView, GroupView, IdentityView, MemberView, Membership, MessageView, MissingView,
    RequestState, RequestView,
};
