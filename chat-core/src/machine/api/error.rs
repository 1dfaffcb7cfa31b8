//! Errors of the door: what was asked for cannot be done, or something local failed.

use serde::{Deserialize, Serialize};

use crate::database::DatabaseError;
use crate::identity::linking::{LinkingCodeError, LinkingStringError};
use crate::ids::{AccountId, GroupId, InstallationId};
use crate::machine::api::linking::LinkingState;
use crate::params::{MAX_DEVICE_NAME, ParamsError};

/// Something local failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// MLS state that was written by this program is not usable.
    #[error("the state of a group is not usable: {0}")]
    State(String),
    /// The operating system gave no randomness for a step.
    #[error("the system gives no randomness: {0}")]
    Randomness(String),
}

impl StepError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            StepError::Database(DatabaseError::Full) => "database_full",
            StepError::Database(DatabaseError::Busy) => "database_busy",
            StepError::Database(DatabaseError::Corrupt) => "database_corrupt",
            StepError::Database(DatabaseError::WrongKey) => "database_wrong_key",
            StepError::Database(_) => "database",
            StepError::State(_) => "state",
            StepError::Randomness(_) => "system",
        }
    }

    /// Whether the same step may succeed later without anything being mended.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            StepError::Database(DatabaseError::Busy | DatabaseError::Full)
                | StepError::Randomness(_)
        )
    }
}

/// Why a database cannot be opened as an account.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no account in it.
    #[error("there is no account here yet")]
    NoAccount,
    /// There is one already.
    #[error("there is an account here already")]
    AccountExists,
    /// It is that of a new device that waits to be linked.
    #[error("this device waits to be linked to an account")]
    Linking,
    /// The name for a new device cannot be used.
    #[error("a device's name is one line of 1 to {MAX_DEVICE_NAME} bytes")]
    DeviceName,
    /// Its account belongs to another network.
    #[error("this account belongs to another network")]
    OtherNetwork,
    /// The parameters make no network.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// It cannot be read.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// Why a command was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CommandError {
    /// There is no such group here.
    #[error("no such group: {group}")]
    UnknownGroup {
        /// Which.
        group: GroupId,
    },
    /// This account is no member of the group any more.
    #[error("this account is no longer a member of the group")]
    NotMember,
    /// The account is not among the contacts.
    #[error("{account} is not a contact: add it with its link first")]
    UnknownContact {
        /// Which.
        account: AccountId,
    },
    /// What is known of a contact is too old to add it to a group, and no newer card was found.
    #[error(
        "what is known of {account} has expired and no newer card was found: it has to come online, \
         or ask for a new link"
    )]
    ContactExpired {
        /// Whose.
        account: AccountId,
    },
    /// The account is in the group already.
    #[error("{account} is a member already")]
    AlreadyMember {
        /// Which.
        account: AccountId,
    },
    /// The account is not in the group.
    #[error("{account} is not a member of the group")]
    NotAMember {
        /// Which.
        account: AccountId,
    },
    /// Only admins may do this.
    #[error("only an admin of the group may do this")]
    NotAdmin,
    /// It would leave the group without an admin.
    #[error("the group would be left without an admin: make somebody else one first")]
    LastAdmin,
    /// The link cannot be used.
    #[error("this is no usable contact link: {reason}")]
    BadLink {
        /// Why.
        reason: String,
    },
    /// The own account was named where another one is needed.
    #[error("this is your own account")]
    OwnAccount,
    /// There is no such request.
    #[error("no such request")]
    UnknownRequest,
    /// Something is longer than allowed.
    #[error("{what} has {size} bytes; {max} is the most")]
    TooLong {
        /// What.
        what: String,
        /// Its bytes.
        size: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Something is empty that may not be.
    #[error("{what} is empty")]
    Empty {
        /// What.
        what: String,
    },
    /// What would be sent exceeds one envelope.
    #[error(
        "this does not fit one envelope ({size} bytes, {max} is the most): add fewer members at a time"
    )]
    TooLarge {
        /// Its bytes.
        size: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// Another commit of this group would win against this one.
    #[error("somebody else's change to the group takes precedence; look at it and try again")]
    WouldLose,
    /// There is nothing to change.
    #[error("nothing would change")]
    NothingToDo,
    /// The group's rules do not allow it.
    #[error("the group's rules do not allow this: {reason}")]
    NotAllowed {
        /// Which rule.
        reason: String,
    },
    /// This installation was revoked: it can do nothing for its account any more.
    #[error("this installation was revoked by its account")]
    Revoked,
    /// The account has no such installation.
    #[error("the account has no installation {installation}")]
    UnknownInstallation {
        /// Which.
        installation: InstallationId,
    },
    /// The installation was not added after this one.
    #[error(
        "{installation} was not added after this installation: only a senior one or the recovery phrase can revoke it"
    )]
    NotSenior {
        /// Which.
        installation: InstallationId,
    },
    /// The account would be left without an installation.
    #[error("the account would be left without an installation")]
    LastInstallation,
    /// An installation's key package is missing, has expired, or is not valid.
    #[error("there is no usable key package of {installation}: it renews it when it is online")]
    BadKeyPackage {
        /// Whose.
        installation: InstallationId,
    },
    /// The words are no recovery phrase.
    #[error("{reason}")]
    BadPhrase {
        /// What is wrong with them; the words themselves are not in it.
        reason: String,
    },
    /// The recovery phrase is that of another account.
    #[error("this is the recovery phrase of another account")]
    WrongPhrase,
    /// The group's history has no such message.
    #[error("no such message in this group")]
    UnknownMessage,
    /// The outbox is full: the network has been out of reach for long.
    #[error("too much waits to be sent: connect to the network first")]
    OutboxFull,
    /// The code of a new device cannot be used.
    #[error("{why}")]
    BadLinkingCode {
        /// Why.
        why: LinkingCodeError,
    },
    /// What was typed is the string of no device: a slip.
    #[error("{why}")]
    BadLinkingString {
        /// Why.
        why: LinkingStringError,
    },
    /// There is no such linking.
    #[error("no such linking")]
    UnknownLinking,
    /// The linking is not where this can be done.
    #[error("this cannot be done with the linking now")]
    LinkingNotReady {
        /// Where it is.
        state: LinkingState,
    },
    /// Too many codes are being answered.
    #[error("too many devices are being linked at once: finish or cancel one")]
    TooManyLinkings,
    /// This device is new, and belongs to no account yet.
    #[error("this device is not linked to an account yet")]
    NotLinked,
    /// The card of a contact is being looked for; without it, it cannot be added to a group.
    #[error("{account} cannot be added yet: its card is being looked for")]
    ContactPending {
        /// Whose.
        account: AccountId,
    },
}

impl CommandError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            CommandError::UnknownGroup { .. } => "unknown_group",
            CommandError::NotMember => "not_member",
            CommandError::UnknownContact { .. } => "unknown_contact",
            CommandError::ContactExpired { .. } => "contact_expired",
            CommandError::AlreadyMember { .. } => "already_member",
            CommandError::NotAMember { .. } => "not_a_member",
            CommandError::NotAdmin => "not_admin",
            CommandError::LastAdmin => "last_admin",
            CommandError::BadLink { .. } => "bad_link",
            CommandError::OwnAccount => "own_account",
            CommandError::UnknownRequest => "unknown_request",
            CommandError::TooLong { .. } => "too_long",
            CommandError::Empty { .. } => "empty",
            CommandError::TooLarge { .. } => "too_large",
            CommandError::WouldLose => "would_lose",
            CommandError::NothingToDo => "nothing_to_do",
            CommandError::NotAllowed { .. } => "not_allowed",
            CommandError::Revoked => "revoked",
            CommandError::UnknownInstallation { .. } => "unknown_installation",
            CommandError::NotSenior { .. } => "not_senior",
            CommandError::LastInstallation => "last_installation",
            CommandError::BadKeyPackage { .. } => "bad_key_package",
            CommandError::BadPhrase { .. } => "bad_phrase",
            CommandError::WrongPhrase => "wrong_phrase",
            CommandError::UnknownMessage => "unknown_message",
            CommandError::OutboxFull => "outbox_full",
            CommandError::BadLinkingCode { why } => match why {
                LinkingCodeError::Expired => "linking_code_expired",
                LinkingCodeError::Used => "linking_code_used",
                LinkingCodeError::Own => "linking_code_own",
                LinkingCodeError::Mistyped => "linking_code_mistyped",
                LinkingCodeError::OtherNetwork => "linking_code_other_network",
                _ => "bad_linking_code",
            },
            CommandError::BadLinkingString { .. } => "bad_linking_string",
            CommandError::UnknownLinking => "unknown_linking",
            CommandError::LinkingNotReady { .. } => "linking_not_ready",
            CommandError::TooManyLinkings => "too_many_linkings",
            CommandError::NotLinked => "not_linked",
            CommandError::ContactPending { .. } => "contact_pending",
        }
    }

    /// Whether the same command may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            CommandError::WouldLose
                | CommandError::OutboxFull
                | CommandError::ContactPending { .. }
        )
    }
}

/// Refuses a text that is longer than `max` bytes.
pub(in crate::machine) fn check_length(
    what: &str,
    text: &str,
    max: usize,
) -> Result<(), CommandError> {
    if text.len() > max {
        return Err(CommandError::TooLong { what: what.into(), size: text.len(), max });
    }
    Ok(())
}
