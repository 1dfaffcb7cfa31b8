//! `send`, `listen` and `history`.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use waku_chat::{AccountId, Client, Event, GroupId, ItemHash, MessageView, MissingView};

use crate::args::Global;
use crate::error::CliError;
use crate::names;
use crate::out::Out;
use crate::session::{Need, Session};
use crate::text;
use crate::time;

/// Longest text that is read from standard input, in bytes; a message may be shorter still.
const MAX_INPUT: u64 = 1024 * 1024;

/// Sends a message.
pub(crate) async fn send(
    global: &Global,
    out: Out,
    group: &str,
    words: &[String],
) -> Result<(), CliError> {
    let text =
        if words == ["-"] {
            let mut text = String::new();
            tokio::io::stdin().take(MAX_INPUT).read_to_string(&mut text).await.map_err(
                |source| CliError::System { what: "cannot read standard input", source },
            )?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        } else {
            words.join(" ")
        };
    let session = Session::open(global, out, Need::CaughtUp).await?;
    let sent = async {
        let group = names::group(&session.client, group).await?.id;
        let message = session.client.send(group, text).await?;
        session.published().await?;
        let published = session.is_online();
        out.result(&json!({"group": group, "message": message, "published": published}), || {
            let state = if published { "Sent" } else { "Kept, to be sent when online:" };
            format!("{state} {message}")
        })
    }
    .await;
    session.finish(sent).await
}

/// Shows a group's messages.
pub(crate) async fn history(
    global: &Global,
    out: Out,
    group: &str,
    before: Option<u64>,
    limit: u32,
    read: bool,
) -> Result<(), CliError> {
    let session = Session::open(global, out, Need::CaughtUp).await?;
    let shown = async {
        let group = names::group(&session.client, group).await?.id;
        let messages = session.client.history(group, before, limit).await?;
        let missing = session.client.missing(group).await?;
        let people = People::load(&session.client).await?;
        out.result(&json!({"messages": messages, "missing": missing}), || {
            let messages = messages.iter().map(|message| people.message(message));
            let missing = missing.iter().map(|missing| people.missing(missing));
            messages.chain(missing).collect::<Vec<_>>().join("\n")
        })?;
        if read && mark_read(&session.client, group).await?.is_some() {
            session.published().await?;
        }
        Ok(())
    }
    .await;
    session.finish(shown).await
}

/// Notes that a group was read up to its newest message, if it has one.
pub(crate) async fn mark_read(
    client: &Client,
    group: GroupId,
) -> Result<Option<ItemHash>, CliError> {
    let newest = client.history(group, None, 1).await?.pop().map(|message| message.message);
    if let Some(message) = newest {
        client.mark_read(group, message).await?;
    }
    Ok(newest)
}

/// Shows events until it is told to stop.
pub(crate) async fn listen(
    global: &Global,
    out: Out,
    after: Option<u64>,
    keep: bool,
    count: Option<u64>,
) -> Result<(), CliError> {
    let session = Session::open(global, out, Need::Eventually).await?;
    let heard = tokio::select! {
        heard = hear(&session.client, out, after, keep, count) => heard,
        stopped = crate::signal() => stopped,
    };
    session.finish(heard).await
}

async fn hear(
    client: &Client,
    out: Out,
    after: Option<u64>,
    keep: bool,
    count: Option<u64>,
) -> Result<(), CliError> {
    let mut people = People::load(client).await?;
    let mut events = client.events(after.unwrap_or(0));
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some((cursor, event)) = events.try_next().await? else { break };
        if people.may_have_changed(&event) {
            people = People::load(client).await?;
        }
        out.result(&json!({"cursor": cursor, "event": event}), || people.event(&event))?;
        // Only now: what was not shown is not acknowledged.
        if !keep {
            client.acknowledge(cursor).await?;
        }
        left -= 1;
    }
    Ok(())
}

/// The names of accounts and groups, as this account knows them.
pub(crate) struct People {
    own: AccountId,
    accounts: BTreeMap<AccountId, String>,
    groups: BTreeMap<GroupId, String>,
}

impl People {
    /// Reads them.
    pub(crate) async fn load(client: &Client) -> Result<Self, CliError> {
        let contacts = client.contacts().await?;
        let groups = client.groups().await?;
        Ok(Self {
            own: client.identity().await?.account,
            accounts: contacts.into_iter().filter_map(|c| Some((c.account, c.name?))).collect(),
            groups: groups.into_iter().map(|g| (g.id, g.name)).collect(),
        })
    }

    /// Whether an event says that there are new names.
    pub(crate) fn may_have_changed(&self, event: &Event) -> bool {
        match event {
            Event::GroupJoined { .. } | Event::GroupDescribed { .. } => true,
            Event::MessageReceived { message } => !self.groups.contains_key(&message.group),
            _ => false,
        }
    }

    /// An account.
    pub(crate) fn account(&self, account: &AccountId) -> String {
        match self.accounts.get(account) {
            _ if *account == self.own => "you".to_owned(),
            Some(name) => text::line(name),
            // Brackets, so that no contact's name looks like it.
            None => format!("[…{}]", account.short()),
        }
    }

    fn accounts(&self, accounts: &[AccountId]) -> String {
        accounts.iter().map(|account| self.account(account)).collect::<Vec<_>>().join(", ")
    }

    fn group(&self, group: &GroupId) -> String {
        match self.groups.get(group) {
            Some(name) => format!("“{}”", text::line(name)),
            None => format!("[…{}]", group.short()),
        }
    }

    /// A message.
    pub(crate) fn message(&self, message: &MessageView) -> String {
        let text = message.text.as_deref();
        let flag = if message.flagged { "  (sent while being removed)" } else { "" };
        format!(
            "{:>6}  {}  {}: {}{flag}",
            message.id,
            time::show(message.sent_at),
            self.account(&message.sender),
            text.map_or("(of a kind that this version does not know)".to_owned(), text::block),
        )
    }

    /// A message that is missing.
    pub(crate) fn missing(&self, missing: &MissingView) -> String {
        format!(
            "missing  number {} from {}, known since {}",
            missing.seq,
            self.account(&missing.sender),
            time::show(missing.since),
        )
    }

    /// An event.
    pub(crate) fn event(&self, event: &Event) -> String {
        match event {
            Event::MessageReceived { message } => {
                format!("{}{}", self.group(&message.group), self.message(message))
            }
            Event::Published { group, item } => {
                format!("{}  published …{}", self.group(group), item.short())
            }
            Event::PublishFailed { group, item } => {
                format!("{}  …{} can never be published", self.group(group), item.short())
            }
            Event::ChangeFailed { group, reason } => {
                format!("{}  a change of yours was lost: {}", self.group(group), text::line(reason))
            }
            Event::RequestReceived { request } => format!(
                "{} invites you into “{}”: waku-chat requests accept {}",
                self.account(&request.from),
                text::line(&request.group_name),
                request.id
            ),
            Event::RequestFailed { request, reason } => {
                format!("the invitation {request} cannot be used: {}", text::line(reason))
            }
            Event::GroupJoined { group, name } => {
                format!("you are in “{}” now  {group}", text::line(name))
            }
            Event::MembersAdded { group, by, accounts } => {
                format!(
                    "{}  {} added {}",
                    self.group(group),
                    self.account(by),
                    self.accounts(accounts)
                )
            }
            Event::MembersRemoved { group, accounts, left: true, .. } => {
                format!("{}  {} left", self.group(group), self.accounts(accounts))
            }
            Event::MembersRemoved { group, by, accounts, left: false } => {
                format!(
                    "{}  {} removed {}",
                    self.group(group),
                    self.account(by),
                    self.accounts(accounts)
                )
            }
            Event::GroupDescribed { group, by, name, description } => format!(
                "{}  {} set the name “{}” and the description “{}”",
                self.group(group),
                self.account(by),
                text::line(name),
                text::line(description)
            ),
            Event::AdminsChanged { group, admins } => {
                format!("{}  admins are now {}", self.group(group), self.accounts(admins))
            }
            Event::GroupLeft { group, removed: true } => {
                format!("{}  you were removed", self.group(group))
            }
            Event::GroupLeft { group, removed: false } => {
                format!("{}  you have left", self.group(group))
            }
            Event::BranchChanged { group, undone } => format!(
                "{}  changes met: {undone} no longer count and are made again",
                self.group(group)
            ),
            Event::MessageMissing { missing } => {
                format!("{}  {}", self.group(&missing.group), self.missing(missing))
            }
            Event::MessageRecovered { group, missing } => format!(
                "{}  number {} from {} has come",
                self.group(group),
                missing.seq,
                self.account(&missing.sender)
            ),
            Event::Equivocation { group, account, seq } => format!(
                "{}  {} sent two different messages with number {seq}",
                self.group(group),
                self.account(account)
            ),
            Event::CloneAlarm { group } => format!(
                "{}  WARNING: somebody else sends with the key of this device",
                self.group(group)
            ),
            Event::InstallationAdded { installation } => {
                format!("this account has another installation now: {}", installation.short())
            }
            Event::InstallationRevoked { own: true, .. } => {
                "this installation was revoked: it can do nothing for the account any more".into()
            }
            Event::InstallationRevoked { installation, own: false } => {
                format!("the installation {} of this account was revoked", installation.short())
            }
            Event::Recovered { revoked } => format!(
                "the account is recovered; {} lost installations are revoked. With its next card its \
                 contacts invite it into their groups again",
                revoked.len()
            ),
            Event::RecoveryPending { reason } => {
                format!("the account is not recovered yet: {}", text::line(reason))
            }
            Event::ContactChanged { account } => {
                format!("{} was changed on another installation", self.account(account))
            }
            Event::GroupRead { group, .. } => {
                format!("{}: read on another installation", self.group(group))
            }
            Event::HandoverProgress { to, sent, total, done } => format!(
                "{sent} of {total} messages handed over to {}{}",
                to.short(),
                if *done { ": all" } else { "" }
            ),
            Event::HandoverReceived { sent, total } => {
                format!("{sent} of {total} messages were handed over to this installation")
            }
            Event::RequestAnswered { request } => {
                format!("the request {} was answered on another installation", request.short())
            }
            Event::LinkReady { link } => format!(
                "{} answered: type the string that it shows",
                text::line(link.name.as_deref().unwrap_or("the new device"))
            ),
            Event::LinkDone { installation, .. } => {
                format!("the new installation {} is there", installation.short())
            }
            Event::LinkFailed { code, added: None, .. } => format!("no device was linked: {code}"),
            Event::LinkFailed { code, added: Some(installation), .. } => format!(
                "the installation {} was added, but did not come: revoke it if it never does ({code})",
                installation.short()
            ),
            Event::LinkAnswered { account, .. } => format!("{account} answered the code"),
            Event::LinkStringShown { account, .. } => {
                format!("{account} waits for the string of this device")
            }
            Event::Linked { account, .. } => format!("this device belongs to {account} now"),
            Event::LinkAnsweredTwice { account, .. } => format!(
                "WARNING: the code of this device was answered twice. If {account} is not your own \
                 account, somebody saw the code: do not use this device's account"
            ),
            Event::ClockSkew { ahead_ms } => format!(
                "WARNING: the clock of this device is {} s {}: set it, or messages are lost",
                ahead_ms.unsigned_abs() / 1000,
                if *ahead_ms > 0 { "ahead" } else { "behind" }
            ),
            Event::CaughtUp { until } => format!("caught up to {}", time::show(*until)),
            Event::CatchUpFailed { reason } => {
                format!("history cannot be fetched: {}", text::line(reason))
            }
            Event::ContactReady { account } => {
                format!("{} can be invited now", self.account(account))
            }
            Event::ContactFailed { account, reason } => {
                format!("{} cannot be invited yet: {}", self.account(account), text::line(reason))
            }
            Event::CardRollback { account, installation } => format!(
                "WARNING: device {} of {} published a card that leaves out devices or revocations; it \
                 was ignored",
                installation.short(),
                self.account(account)
            ),
            Event::CardFailed { reason } => {
                format!("the own card cannot be published: {}", text::line(reason))
            }
        }
    }
}
