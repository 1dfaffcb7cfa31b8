//! The way out: a command goes to the part that it is for.

use crate::identity::phrase::{PhraseError, RecoveryPhrase};
use crate::machine::api::command::{Answer, Command};
use crate::machine::api::done::Done;
use crate::machine::api::error::{CommandError, StepError};
use crate::machine::assembly::Machine;
use crate::machine::flows::doorbell::Reply;
use crate::params::MAX_OUTBOX;

impl Machine {
    /// Does what the application asks for, or refuses it before anything was written.
    pub(in crate::machine) fn run(&mut self, command: Command) -> Done<Answer> {
        if let Command::AcknowledgeEvents { cursor } = command {
            self.cx.db.delete_events(cursor).map_err(StepError::from)?;
            return Ok(Answer::Done);
        }
        if self.waiting() >= MAX_OUTBOX {
            return Err(CommandError::OutboxFull.into());
        }
        if !self.me.is_active() {
            return Err(CommandError::Revoked.into());
        }
        self.note_typed(command.group());
        match command {
            Command::MakeContactLink => self.make_contact_link(),
            Command::MakeShortContactLink => self.make_short_contact_link(),
            Command::AddContact { link, name } => self.add_contact(&link, name),
            Command::RemoveContact { account } => self.remove_contact(&account),
            Command::CreateGroup { name, description, members } => {
                self.create_group(name, description, members)
            }
            Command::AddMembers { group, accounts } => self.add_members(group, accounts),
            Command::RemoveMembers { group, accounts } => self.remove_members(group, &accounts),
            Command::LeaveGroup { group } => self.leave_group(group),
            Command::DescribeGroup { group, name, description } => {
                self.describe_group(group, name, description)
            }
            Command::SetAdmin { group, account, admin } => self.set_admin(group, account, admin),
            Command::Send { group, text } => self.send_text(group, text),
            Command::AcceptRequest { request } => self.answer_request(&request, Reply::Accept),
            Command::DeclineRequest { request } => self.answer_request(&request, Reply::Decline),
            Command::BlockRequest { request } => self.answer_request(&request, Reply::Block),
            Command::NameInstallation { installation, name } => {
                self.name_installation(installation, &name)
            }
            Command::RevokeInstallations { installations, phrase } => {
                let bad =
                    |error: PhraseError| CommandError::BadPhrase { reason: error.to_string() };
                let phrase = phrase.map(|words| RecoveryPhrase::parse(&words.0)).transpose();
                self.revoke_installations(&installations, phrase.map_err(bad)?.as_ref())
            }
            Command::EndRecovery => self.end_recovery(),
            Command::TransferHistory { installation, since } => {
                self.transfer_history(installation, since)
            }
            Command::HurryInstallations => {
                self.hurry()?;
                Ok(Answer::Done)
            }
            Command::MarkRead { group, message } => self.mark_read(group, message),
            Command::AnswerLinking { code } => self.answer_link(code.as_str()),
            Command::ConfirmLinking { id, string } => self.confirm_link(&id, &string),
            Command::CancelLinking { id } => self.cancel_link(&id),
            Command::AcknowledgeEvents { .. } => Ok(Answer::Done),
        }
    }
}
