//! What must be true at the end of the demo: the checks, and their summary.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use waku_chat::NetworkParams;

use super::nodes::Nodes;
use super::observer::{Seen, Statistics};
use crate::show::text;

/// How many Waku messages an invitation takes: a doorbell, and the invitation itself.
const PER_INVITATION: usize = 2;
/// How many accounts one doorbell can invite.
const PER_DOORBELL: usize = 8;

/// A message that was sent.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) sender: usize,
    pub(super) text: String,
    pub(super) id: String,
    /// The members who are to have it.
    readers: BTreeSet<usize>,
}

/// A statement that must be true, and whether it is.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
}

/// The group as a member sees it at the end.
#[derive(Debug, Default, Serialize)]
struct View {
    name: &'static str,
    membership: String,
    epoch_id: String,
    epoch: u64,
    group_name: String,
    /// The ids of the messages in its history, in their order.
    #[serde(skip)]
    history: Vec<String>,
    messages: usize,
    missing: usize,
}

/// What has happened, as the members report it.
#[derive(Debug)]
pub(super) struct Ledger {
    sent: Vec<Sent>,
    views: Vec<View>,
    invitations: usize,
    items: BTreeSet<String>,
    checks: Vec<Check>,
}

impl Ledger {
    pub(super) fn new(names: &[&'static str]) -> Self {
        let view = |name: &&'static str| View { name, ..View::default() };
        Self {
            sent: Vec::new(),
            views: names.iter().map(view).collect(),
            invitations: 0,
            items: BTreeSet::new(),
            checks: Vec::new(),
        }
    }

    /// Records that this many accounts were invited together.
    pub(super) fn invited(&mut self, accounts: usize) {
        self.invitations += accounts.div_ceil(PER_DOORBELL);
    }

    /// How many Waku messages the invitations took.
    pub(super) fn invitations(&self) -> usize {
        self.invitations * PER_INVITATION
    }

    /// Records that a member sent a message.
    pub(super) fn sent(&mut self, sender: usize, text: &str, id: &str) {
        self.sent.push(Sent {
            sender,
            text: text.to_owned(),
            id: id.to_owned(),
            readers: BTreeSet::from([sender]),
        });
    }

    /// Records that a member has read a message.
    pub(super) fn read(&mut self, reader: usize, id: &str) {
        for sent in self.sent.iter_mut().filter(|sent| sent.id == id) {
            sent.readers.insert(reader);
        }
    }

    /// The messages that a member has not read yet.
    pub(super) fn missed_by(&self, member: usize) -> Vec<Sent> {
        self.sent.iter().filter(|sent| !sent.readers.contains(&member)).cloned().collect()
    }

    /// Records a statement that must be true.
    pub(super) fn check(&mut self, name: impl Into<String>, ok: bool, detail: impl Into<String>) {
        self.checks.push(Check { name: name.into(), ok, detail: detail.into() });
    }

    /// Records the group as a member sees it at the end.
    pub(super) fn final_view(
        &mut self,
        member: usize,
        history: Value,
        missing: &Value,
        group: Value,
    ) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().map_or(0, Vec::len);
        let messages = history.as_array().cloned().unwrap_or_default();
        let view = &mut self.views[member];
        view.membership = text(&group["membership"]);
        view.epoch_id = text(&group["epoch_id"]);
        view.epoch = group["epoch"].as_u64().unwrap_or_default();
        view.group_name = text(&group["name"]);
        view.history = messages.iter().map(|message| text(&message["message"])).collect();
        view.messages = messages.len();
        view.missing = list(missing);
    }

    /// Records which messages and commits were published, as their senders' events say.
    pub(super) fn published(&mut self, events: &[Vec<Value>]) {
        let item = |event: &Value| match event["type"].as_str() {
            Some("published") => event["message"].as_str().map(str::to_owned),
            Some("change_published") => event["intent"].as_str().map(str::to_owned),
            _ => None,
        };
        self.items = events.iter().flatten().filter_map(item).collect();
    }

    /// How many Waku messages there must be: one for each message and commit of the group, and those
    /// of the invitations.
    pub(super) fn waku_messages(&self) -> usize {
        self.items.len() + self.invitations()
    }

    /// Makes all checks.
    pub(super) fn summary(
        mut self,
        seen: &[Seen],
        store_agrees: bool,
        network: &NetworkParams,
    ) -> Summary {
        for n in 0..self.views.len() {
            self.check_history(n);
        }
        self.check_epochs();
        self.check_wire(seen, store_agrees, network)
    }

    fn check_history(&mut self, member: usize) {
        let expected: BTreeSet<&str> = self
            .sent
            .iter()
            .filter(|sent| sent.readers.contains(&member))
            .map(|sent| sent.id.as_str())
            .collect();
        let View { name, history, missing, .. } = &self.views[member];
        let had: BTreeSet<&str> = history.iter().map(String::as_str).collect();
        let lost = expected.difference(&had).count();
        let extra = had.difference(&expected).count();
        let twice = history.len() - had.len();
        let ok = lost == 0 && extra == 0 && twice == 0 && *missing == 0;
        let detail = format!(
            "{} of {} messages of the group; {lost} lost, {twice} twice, {extra} not meant \
             for it, {missing} known to be missing",
            history.len(),
            self.sent.len(),
        );
        self.check(format!("{name} has each of its messages exactly once"), ok, detail);
    }

    fn check_epochs(&mut self) {
        let (members, others): (Vec<_>, Vec<_>) =
            self.views.iter().partition(|view| view.membership == "active");
        let epochs: BTreeSet<_> = members.iter().map(|view| view.epoch_id.as_str()).collect();
        let epoch = epochs.first().copied().unwrap_or_default().to_owned();
        let agreed = members.len() == 2 && epochs.len() == 1 && !epoch.is_empty();
        let removed = others.len() == 1
            && others.iter().all(|view| {
                view.name == "Bob" && view.membership == "removed" && view.epoch_id != epoch
            });
        let names = |views: &[&View]| {
            let names: Vec<_> =
                views.iter().map(|v| format!("{} {}", v.name, v.membership)).collect();
            names.join(", ")
        };
        let (who, rest) = (names(&members), names(&others));
        let named = members.iter().all(|view| view.group_name == "Picnic at three");
        self.check("the members follow the same epoch", agreed, format!("{who}: {epoch}"));
        self.check("all members see the group's last name", named, "Picnic at three");
        self.check(
            "the removed member knows of the removal, and is not in that epoch",
            removed,
            rest,
        );
        let ids: BTreeSet<_> = self.sent.iter().map(|sent| &sent.id).collect();
        let all = ids.len() == self.sent.len() && ids.iter().all(|id| self.items.contains(*id));
        let detail = format!("{} messages", self.sent.len());
        self.check("every message that was sent was published", all, detail);
    }

    fn check_wire(mut self, seen: &[Seen], store_agrees: bool, network: &NetworkParams) -> Summary {
        let waku = Statistics::of(seen, network.slot_secs);
        let messages = self.sent.len();
        let commits = self.items.len().saturating_sub(messages);
        self.check(
            "one Waku message for each message and commit of the group",
            waku.messages - waku.cards == self.waku_messages(),
            format!(
                "{} Waku messages = {messages} messages + {commits} commits + {} for {} invitation \
                 + {} daily cards",
                waku.messages,
                self.invitations(),
                self.invitations,
                waku.cards
            ),
        );
        self.check(
            "the outsider has seen exactly what the Store has kept",
            store_agrees,
            format!("{} Waku messages", waku.messages),
        );
        self.check(
            "every Waku message has one of the fixed sizes",
            waku.only_classes(),
            format!("{:?}", waku.sizes.keys().collect::<Vec<_>>()),
        );
        self.check(
            "topics change with every slot",
            waku.topics_in_two_slots == 0 && waku.slots > 1,
            format!(
                "{} topics in {} slots, {} of them in more than one",
                waku.topics, waku.slots, waku.topics_in_two_slots
            ),
        );
        Summary {
            ok: self.checks.iter().all(|check| check.ok),
            checks: self.checks,
            members: self.views,
            messages,
            commits,
            invitations: self.invitations,
            waku,
            nodes: None,
            seconds: 0.0,
        }
    }
}

/// The result of the demo.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    ok: bool,
    checks: Vec<Check>,
    members: Vec<View>,
    /// How many messages were sent to the group.
    messages: usize,
    /// How many commits changed the group.
    commits: usize,
    /// How many invitations were sent, each of up to eight accounts.
    invitations: usize,
    /// The outsider's count.
    waku: Statistics,
    /// The nodes that the demo ran on.
    nodes: Option<Nodes>,
    seconds: f64,
}

impl Summary {
    /// Adds the nodes that the demo ran on.
    pub(super) fn on(self, nodes: &Nodes) -> Self {
        Self { nodes: Some(nodes.clone()), ..self }
    }

    /// Adds the time that the demo took.
    pub(super) fn took(self, time: Duration) -> Self {
        Self { seconds: (time.as_secs_f64() * 10.0).round() / 10.0, ..self }
    }

    /// How many checks failed.
    pub(super) fn wrong(&self) -> usize {
        self.checks.iter().filter(|check| !check.ok).count()
    }

    /// The summary, for people.
    pub(super) fn show(&self) -> String {
        let mut out = String::from("\nSUMMARY of the checks:\n");
        // Writing to a string cannot fail.
        for check in &self.checks {
            let sign = if check.ok { "ok  " } else { "FAIL" };
            let _ =
                writeln!(out, "  {sign} {}\n         {}", check.name, text::line(&check.detail));
        }
        let _ = writeln!(out, "\n  Members:");
        for view in &self.members {
            let _ = writeln!(
                out,
                "    {:<6} {:<8} {:>2} messages  epoch {}  {}",
                view.name,
                view.membership,
                view.messages,
                view.epoch,
                text::shorten(&view.epoch_id, 8, 8),
            );
        }
        let sizes: Vec<_> =
            self.waku.sizes.iter().map(|(size, n)| format!("{n} of {size} B")).collect();
        if let Some(nodes) = &self.nodes {
            let _ = writeln!(out, "\n  Nodes: {}", text::line(&nodes.show()));
        }
        let _ = write!(
            out,
            "\n  On the wire: {} Waku messages, {} bytes ({}), {} topics in {} slots.\n  \
             Took {} s. {}",
            self.waku.messages,
            self.waku.bytes,
            sizes.join(", "),
            self.waku.topics,
            self.waku.slots,
            self.seconds,
            if self.ok { "All checks passed." } else { "Some checks failed." },
        );
        out
    }
}
