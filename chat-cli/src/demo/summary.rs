//! What must be true at the end of the demo, and whether it is.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use waku_chat::NetworkParams;

use super::nodes::Nodes;
use super::observer::{Seen, Statistics};
use crate::text;

/// Waku messages of one invitation: a doorbell, and the invitation itself.
const PER_INVITATION: usize = 2;
/// Accounts that one doorbell rings for.
const PER_DOORBELL: usize = 8;

/// A message that was sent.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) sender: usize,
    pub(super) text: String,
    pub(super) hash: String,
    /// Who is to have it.
    readers: BTreeSet<usize>,
}

/// One thing that must be true.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
}

/// How a member sees the group at the end.
#[derive(Debug, Default, Serialize)]
struct View {
    name: &'static str,
    membership: String,
    epoch_id: String,
    epoch: u64,
    group_name: String,
    /// Hashes of the messages in its history, in their order.
    #[serde(skip)]
    history: Vec<String>,
    messages: usize,
    missing: usize,
}

/// What has happened, by those who were there.
#[derive(Debug)]
pub(super) struct Ledger {
    said: Vec<Said>,
    views: Vec<View>,
    invitations: usize,
    items: BTreeSet<String>,
    checks: Vec<Check>,
}

impl Ledger {
    pub(super) fn new(names: &[&'static str]) -> Self {
        let view = |name: &&'static str| View { name, ..View::default() };
        Self {
            said: Vec::new(),
            views: names.iter().map(view).collect(),
            invitations: 0,
            items: BTreeSet::new(),
            checks: Vec::new(),
        }
    }

    /// Accounts were invited at once.
    pub(super) fn invited(&mut self, accounts: usize) {
        self.invitations += accounts.div_ceil(PER_DOORBELL);
    }

    /// Waku messages that it took to invite them.
    pub(super) fn invitations(&self) -> usize {
        self.invitations * PER_INVITATION
    }

    /// Somebody has sent a message.
    pub(super) fn sent(&mut self, sender: usize, text: &str, hash: &str) {
        self.said.push(Said {
            sender,
            text: text.to_owned(),
            hash: hash.to_owned(),
            readers: BTreeSet::from([sender]),
        });
    }

    /// Somebody has read it.
    pub(super) fn read(&mut self, reader: usize, hash: &str) {
        for said in self.said.iter_mut().filter(|said| said.hash == hash) {
            said.readers.insert(reader);
        }
    }

    /// What was said while a member was away.
    pub(super) fn missed_by(&self, member: usize) -> Vec<Said> {
        self.said.iter().filter(|said| !said.readers.contains(&member)).cloned().collect()
    }

    /// Something that must be true.
    pub(super) fn check(&mut self, name: impl Into<String>, ok: bool, detail: impl Into<String>) {
        self.checks.push(Check { name: name.into(), ok, detail: detail.into() });
    }

    /// What a member has at the end.
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

    /// Which messages and commits have reached the network, by their senders' events.
    pub(super) fn published(&mut self, events: &[Vec<Value>]) {
        let published = events.iter().flatten().filter(|event| event["type"] == "published");
        self.items =
            published.filter_map(|event| event["item"].as_str().map(str::to_owned)).collect();
    }

    /// Waku messages that there must be: one for each message and commit of the group, and those
    /// of the invitations.
    pub(super) fn waku_messages(&self) -> usize {
        self.items.len() + self.invitations()
    }

    /// Draws the sum.
    pub(super) fn summary(
        mut self,
        notes: &[Seen],
        store_agrees: bool,
        network: &NetworkParams,
    ) -> Summary {
        for n in 0..self.views.len() {
            self.check_history(n);
        }
        self.check_states();
        self.check_wire(notes, store_agrees, network)
    }

    fn check_history(&mut self, member: usize) {
        let expected: BTreeSet<&str> = self
            .said
            .iter()
            .filter(|said| said.readers.contains(&member))
            .map(|said| said.hash.as_str())
            .collect();
        let View { name, history, missing, .. } = &self.views[member];
        let had: BTreeSet<&str> = history.iter().map(String::as_str).collect();
        let lost = expected.difference(&had).count();
        let extra = had.difference(&expected).count();
        let twice = history.len() - had.len();
        let ok = lost == 0 && extra == 0 && twice == 0 && *missing == 0;
        let detail = format!(
            "{} of {} messages of the group; {lost} lost, {twice} twice, {extra} that are not \
             meant for it, {missing} known to be missing",
            history.len(),
            self.said.len(),
        );
        self.check(format!("{name} has each of its messages exactly once"), ok, detail);
    }

    fn check_states(&mut self) {
        let (members, others): (Vec<_>, Vec<_>) =
            self.views.iter().partition(|view| view.membership == "active");
        let states: BTreeSet<_> = members.iter().map(|view| view.epoch_id.as_str()).collect();
        let state = states.first().copied().unwrap_or_default().to_owned();
        let agreed = members.len() == 2 && states.len() == 1 && !state.is_empty();
        let removed = others.len() == 1
            && others.iter().all(|view| {
                view.name == "Bob" && view.membership == "removed" && view.epoch_id != state
            });
        let names = |views: &[&View]| {
            let names: Vec<_> =
                views.iter().map(|v| format!("{} {}", v.name, v.membership)).collect();
            names.join(", ")
        };
        let (who, rest) = (names(&members), names(&others));
        let named = members.iter().all(|view| view.group_name == "Picnic at three");
        self.check("the members follow one and the same state", agreed, format!("{who}: {state}"));
        self.check("all members see the last name", named, "Picnic at three");
        self.check("the removed member knows it, and is not in that state", removed, rest);
        let hashes: BTreeSet<_> = self.said.iter().map(|said| &said.hash).collect();
        let all =
            hashes.len() == self.said.len() && hashes.iter().all(|hash| self.items.contains(*hash));
        let detail = format!("{} messages", self.said.len());
        self.check("every message that was sent was published", all, detail);
    }

    fn check_wire(
        mut self,
        notes: &[Seen],
        store_agrees: bool,
        network: &NetworkParams,
    ) -> Summary {
        let waku = Statistics::of(notes, network.slot_secs);
        let messages = self.said.len();
        let commits = self.items.len().saturating_sub(messages);
        self.check(
            "one Waku message for each message and commit of the group",
            waku.messages - waku.cards == self.waku_messages(),
            format!(
                "{} Waku messages = {messages} messages + {commits} commits + {} for {} invitation \
                 + {} cards of the day",
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
            "sizes are those of the classes and no others",
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

/// The end of the demo.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    ok: bool,
    checks: Vec<Check>,
    members: Vec<View>,
    /// Messages that were sent to the group.
    messages: usize,
    /// Commits that changed it.
    commits: usize,
    /// Invitations, each of up to eight accounts.
    invitations: usize,
    /// What the outsider counted.
    waku: Statistics,
    /// What the nodes ran on.
    nodes: Option<Nodes>,
    seconds: f64,
}

impl Summary {
    /// The same, with what the nodes ran on.
    pub(super) fn on(self, nodes: &Nodes) -> Self {
        Self { nodes: Some(nodes.clone()), ..self }
    }

    /// The same, with the time that it took.
    pub(super) fn took(self, time: Duration) -> Self {
        Self { seconds: (time.as_secs_f64() * 10.0).round() / 10.0, ..self }
    }

    /// How many checks have failed.
    pub(super) fn wrong(&self) -> usize {
        self.checks.iter().filter(|check| !check.ok).count()
    }

    /// For people.
    pub(super) fn show(&self) -> String {
        let mut out = String::from("\nSUMMARY, checked:\n");
        // Writing to a string cannot fail.
        for check in &self.checks {
            let sign = if check.ok { "ok  " } else { "OFF " };
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
            if self.ok { "All is as it should be." } else { "Something is off." },
        );
        out
    }
}
