//! Events, each as a line.

use waku_chat::Event;

use super::names::Names;
use super::{count, message, text, time};

/// An event as a line.
pub(crate) fn event(event: &Event, names: &Names) -> String {
    match event {
        Event::MessageReceived { message } => {
            format!("{}{}", names.group(&message.group), message::message(message, names))
        }
        Event::Sent { group, message } => {
            format!("{}  sent …{}, not confirmed yet", names.group(group), message.short())
        }
        Event::Unconfirmed { group, message } => {
            format!("{}  …{} is unconfirmed, and sent again", names.group(group), message.short())
        }
        Event::Published { group, message } => {
            format!("{}  published …{}", names.group(group), message.short())
        }
        Event::ChangePublished { group, intent } => {
            format!("{}  published change …{}", names.group(group), intent.short())
        }
        Event::MessageFailed { group, message, reason } => {
            let (group, reason) = (names.group(group), text::line(reason));
            format!("{group}  …{} can never be sent: {reason}", message.short())
        }
        Event::ChangeFailed { group, reason, .. } => {
            format!("{}  a change of yours was lost: {}", names.group(group), text::line(reason))
        }
        Event::RequestReceived { request } => format!(
            "{} invites you to “{}”: waku-chat requests accept {}",
            names.account(&request.from),
            text::line(&request.group_name),
            request.id
        ),
        Event::RequestFailed { request, reason } => {
            format!("the invitation of request {request} cannot be used: {}", text::line(reason))
        }
        Event::RequestAnswered { request } => {
            format!("request {} was answered on another installation", request.short())
        }
        Event::GroupJoined { group, name } => {
            format!("you are now in “{}”  {group}", text::line(name))
        }
        Event::MembersAdded { group, by, accounts } => format!(
            "{}  {} added {}",
            names.group(group),
            names.account(by),
            names.accounts(accounts)
        ),
        Event::MembersRemoved { group, accounts, left: true, .. } => {
            format!("{}  {} left", names.group(group), names.accounts(accounts))
        }
        Event::MembersRemoved { group, by, accounts, left: false } => format!(
            "{}  {} removed {}",
            names.group(group),
            names.account(by),
            names.accounts(accounts)
        ),
        Event::GroupDescribed { group, by, name, description } => format!(
            "{}  {} set the name “{}” and the description “{}”",
            names.group(group),
            names.account(by),
            text::line(name),
            text::line(description)
        ),
        Event::AdminsChanged { group, admins } => {
            format!("{}  the admins are now {}", names.group(group), names.accounts(admins))
        }
        Event::GroupLeft { group, removed: true } => {
            format!("{}  you were removed", names.group(group))
        }
        Event::GroupLeft { group, removed: false } => format!("{}  you left", names.group(group)),
        Event::GroupRead { group, .. } => {
            format!("{}  read on another installation", names.group(group))
        }
        Event::BranchChanged { group, undone } => format!(
            "{}  members changed the group at the same time: {} no longer count and will be made again",
            names.group(group),
            count(*undone, "change", "changes")
        ),
        Event::GroupBehind { group, .. } => format!(
            "{}  WARNING: this installation is behind: others sent what it cannot read, and no Store has \
             what is missing",
            names.group(group)
        ),
        Event::GroupCaughtUp { group } => {
            format!("{}  this installation is no longer behind", names.group(group))
        }
        Event::MessageMissing { missing } => {
            format!("{}  {}", names.group(&missing.group), message::missing(missing, names))
        }
        Event::MessageRecovered { group, missing } => format!(
            "{}  message {} of {}, which was missing, has arrived",
            names.group(group),
            missing.seq,
            names.account(&missing.sender)
        ),
        Event::Equivocation { group, account, seq } => format!(
            "{}  WARNING: {} sent two different messages with number {seq}",
            names.group(group),
            names.account(account)
        ),
        Event::CloneAlarm { group } => format!(
            "{}  WARNING: another device sends with this installation's key, which must have been copied",
            names.group(group)
        ),
        Event::ContactReady { account } => {
            format!("{} can now be invited", names.account(account))
        }
        Event::ContactFailed { account, reason } => {
            format!("{} cannot be invited yet: {}", names.account(account), text::line(reason))
        }
        Event::ContactChanged { account } => {
            format!("{} was changed on another installation", names.account(account))
        }
        Event::CardRollback { account, installation } => format!(
            "WARNING: installation {} of {} published a card that leaves out installations or \
             revocations; it was ignored",
            installation.short(),
            names.account(account)
        ),
        Event::CardFailed { reason } => {
            format!("this account's card cannot be published: {}", text::line(reason))
        }
        Event::ClockSkew { ahead_ms } => format!(
            "WARNING: the clock of this device is {} s {}; correct it, or messages will be lost",
            ahead_ms.unsigned_abs() / 1000,
            if *ahead_ms > 0 { "fast" } else { "slow" }
        ),
        Event::CaughtUp { until } => format!("caught up to {}", time::date_time(*until)),
        Event::CatchUpFailed { reason } => {
            format!("the history cannot be fetched: {}", text::line(reason))
        }
        Event::InstallationAdded { installation } => {
            format!("this account has a new installation: {}", installation.short())
        }
        Event::InstallationRevoked { own: true, .. } => {
            "this installation was revoked: it can no longer do anything for the account".to_owned()
        }
        Event::InstallationRevoked { installation, own: false } => {
            format!("installation {} of this account was revoked", installation.short())
        }
        Event::Recovered { revoked } => format!(
            "the account is recovered, and {} revoked. When its next card is published, its \
             contacts invite it into their groups again",
            count(revoked.len(), "lost installation is", "lost installations are")
        ),
        Event::RecoveryPending { reason } => {
            format!("the account is not recovered yet: {}", text::line(reason))
        }
        Event::HistoryTransferProgress { to, sent, total, done } => format!(
            "history transfer to {}: {sent} of {total} messages sent{}",
            to.short(),
            if *done { "; complete" } else { "" }
        ),
        Event::HistoryTransferReceived { sent, total } => {
            format!("history transfer to this installation: {sent} of {total} messages")
        }
        Event::LinkingReady { linking } => format!(
            "{} answered: type the authentication string that it shows",
            text::line(linking.name.as_deref().unwrap_or("the new installation"))
        ),
        Event::LinkingDone { installation, .. } => {
            format!("the new installation {} is ready", installation.short())
        }
        Event::LinkingFailed { code, added: None, .. } => {
            format!("linking failed, and no installation was added ({code})")
        }
        Event::LinkingFailed { code, added: Some(installation), .. } => format!(
            "installation {} was added but did not report back ({code}): if it never does, revoke it",
            installation.short()
        ),
        Event::LinkingAnswered { account, .. } => format!("{account} answered the linking code"),
        Event::LinkingStringShown { account, .. } => {
            format!("{account} waits for the authentication string of this installation")
        }
        Event::Linked { account, .. } => format!("this installation now belongs to {account}"),
        Event::LinkingAnsweredTwice { account, .. } => format!(
            "WARNING: the linking code of this installation was answered twice. If {account} is not \
             your own account, somebody else saw the code: do not use this installation"
        ),
    }
}
