//! The story that the demo plays.

use std::path::Path;

use futures::future::try_join_all;
use futures::stream::{SelectAll, StreamExt as _};
use serde_json::{Value, json};
use tokio_stream::wrappers::WatchStream;
use waku_chat::{NetworkParams, Timestamp};

use super::member::Member;
use super::nodes::Nodes;
use super::observer::Observer;
use super::process::{failure, within};
use super::relay::Relay;
use super::stage::Stage;
use super::summary::{Ledger, Summary};
use crate::error::CliError;
use crate::out::Out;

const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;
const NAMES: [&str; 3] = ["Alice", "Bob", "Carol"];

/// All who take part, and what is recorded of them.
struct Cast {
    members: Vec<Member>,
    observer: Observer,
    stage: Stage,
    ledger: Ledger,
    group: String,
}

/// Plays the whole story, and returns the summary with its checks.
pub(super) async fn tell(out: Out, directory: &Path, nodes: &Nodes) -> Result<Summary, CliError> {
    let network = NetworkParams::fast();
    out.progress(&format!("Nodes: {}.", nodes.show()));
    out.progress("Starting a relay with a Store, and creating three accounts…");
    let relay = Relay::start(directory, nodes).await?;
    let observer = Observer::start(&relay.address, network.clone()).await?;
    let made = NAMES.map(|name| Member::create(name, directory, &relay.address, nodes));
    let mut members = try_join_all(made).await?;
    try_join_all(members.iter_mut().map(Member::online)).await?;
    let stage = Stage::new(out);
    stage.open()?;
    let mut cast =
        Cast { members, observer, stage, ledger: Ledger::new(&NAMES), group: String::new() };
    cast.begin(&relay)?;
    cast.meet().await?;
    cast.found().await?;
    cast.talk(&network).await?;
    cast.carol_is_away().await?;
    cast.bob_is_removed().await?;
    let summary = cast.close(&network).await?;
    relay.stop().await?;
    Ok(summary.on(nodes))
}

impl Cast {
    fn begin(&mut self, relay: &Relay) -> Result<(), CliError> {
        self.stage.scene("Five processes on this machine")?;
        let pid = |pid: Option<u32>| pid.map_or(String::new(), |pid| format!("  (process {pid})"));
        self.stage.say(format!("relay with Store{}", pid(relay.pid)));
        for member in &self.members {
            self.stage.say(format!("{}{}", member.name, pid(member.pid())));
        }
        Ok(())
    }

    /// The members exchange contact links, out of band.
    async fn meet(&mut self) -> Result<(), CliError> {
        self.stage.sync(&self.observer, 0).await?;
        self.stage.scene("The members give each other contact links, outside of Waku")?;
        let mut links = Vec::new();
        for member in &mut self.members {
            let link = member.call("contact_link", json!({})).await?;
            let length = link.as_str().map_or(0, str::len);
            self.stage.say(format!("{} makes a contact link of {length} characters", member.name));
            links.push(link);
        }
        for (n, member) in self.members.iter_mut().enumerate() {
            for (other, link) in links.iter().enumerate().filter(|(other, _)| *other != n) {
                let params = json!({"link": link, "name": NAMES[other]});
                member.call("add_contact", params).await?;
            }
        }
        self.stage.sync(&self.observer, 0).await
    }

    /// Alice creates a group with the others, and describes it.
    async fn found(&mut self) -> Result<(), CliError> {
        self.stage.scene("Alice creates a group with Bob and Carol")?;
        let invited = [BOB, CAROL].map(|n| self.members[n].account.clone());
        let params = json!({"name": "Weekend", "members": invited});
        let group = self.members[ALICE].call("create_group", params).await?;
        let id = group["id"].as_str().ok_or_else(|| failure("Alice's new group has no id"))?;
        self.group = id.to_owned();
        self.ledger.invited(invited.len());
        self.stage.say("Alice creates “Weekend” and invites Bob and Carol");
        for n in [BOB, CAROL] {
            self.join(n).await?;
        }
        let params = json!({
            "group": self.group,
            "name": "Picnic",
            "description": "Sunday at noon, by the lake",
        });
        self.members[ALICE].call("describe_group", params).await?;
        self.stage.say("Alice names it “Picnic”: Sunday at noon, by the lake");
        for n in [BOB, CAROL] {
            let is_it =
                |event: &Value| event["type"] == "group_described" && event["name"] == "Picnic";
            self.members[n].event("the new name", is_it).await?;
        }
        self.agree(&[ALICE, BOB, CAROL]).await?;
        self.stage.say("All three follow the same epoch of the group");
        self.published().await?;
        // The commits that added the two and named the group.
        const COMMITS: usize = 2;
        self.stage.sync(&self.observer, self.ledger.invitations() + COMMITS).await
    }

    /// A member accepts the invitation, unless it comes from a contact and needs no answer.
    async fn join(&mut self, n: usize) -> Result<(), CliError> {
        let group = self.group.clone();
        let is_it = |event: &Value| {
            event["type"] == "request_received"
                || event["type"] == "group_joined" && event["group"] == group.as_str()
        };
        let first = self.members[n].event("an invitation", is_it).await?;
        if first["type"] == "request_received" {
            let params = json!({"request": first["request"]["id"]});
            self.members[n].call("accept_request", params).await?;
        }
        let is_it =
            |event: &Value| event["type"] == "group_joined" && event["group"] == group.as_str();
        self.members[n].event("joining the group", is_it).await?;
        self.stage.say(format!("{} accepts", NAMES[n]));
        Ok(())
    }

    /// The members talk in two slots, so that the topics are seen to change.
    async fn talk(&mut self, network: &NetworkParams) -> Result<(), CliError> {
        const ALL: [usize; 3] = [ALICE, BOB, CAROL];
        self.stage.scene("They talk")?;
        self.say(ALICE, "Who brings the cake?", &ALL).await?;
        self.say(BOB, "I do. Apple or plum?", &ALL).await?;
        self.say(CAROL, "Plum! I bring the blanket and the big thermos.", &ALL).await?;
        next_slot(network).await;
        self.stage.scene("The next slot begins, and all topics change for everybody")?;
        self.say(ALICE, "Then I see to the rest: plates, cups, a ball.", &ALL).await?;
        self.say(CAROL, "And sunshine, please.", &ALL).await?;
        self.say(BOB, "Plum it is.", &ALL).await
    }

    /// Carol's process ends. She misses messages and a commit, and catches up later.
    async fn carol_is_away(&mut self) -> Result<(), CliError> {
        const HERE: [usize; 2] = [ALICE, BOB];
        self.stage.scene("Carol goes offline: her process ends")?;
        self.members[CAROL].offline().await?;
        self.stage.say("Carol is gone");
        self.say(ALICE, "The forecast says rain at noon.", &HERE).await?;
        self.say(BOB, "Three o'clock, then?", &HERE).await?;
        let params = json!({"group": self.group, "name": "Picnic at three"});
        self.members[ALICE].call("describe_group", params).await?;
        self.stage.say("Alice renames the group to “Picnic at three”");
        self.agree(&HERE).await?;
        self.published().await?;
        self.stage.sync(&self.observer, 1).await?;
        self.say(ALICE, "Done. Carol will see it.", &HERE).await?;

        self.stage.scene("Carol comes back, and fetches from the Store what she missed")?;
        self.members[CAROL].online().await?;
        self.stage.say(format!(
            "Carol is back{}",
            self.members[CAROL].pid().map_or(String::new(), |pid| format!("  (process {pid})"))
        ));
        for line in self.ledger.missed_by(CAROL) {
            let is_it = |event: &Value| {
                event["type"] == "message_received"
                    && event["message"]["message"] == line.id.as_str()
            };
            self.members[CAROL].event("what she missed", is_it).await?;
            self.stage.say(format!("Carol reads: {}: {}", NAMES[line.sender], line.text));
            self.ledger.read(CAROL, &line.id);
        }
        let is_it = |event: &Value| event["name"] == "Picnic at three";
        self.members[CAROL].event("the new name", is_it).await?;
        self.agree(&[ALICE, BOB, CAROL]).await?;
        self.stage.say("Carol sees “Picnic at three”, in the same epoch as the others");
        self.stage.sync(&self.observer, 0).await?;
        self.say(CAROL, "Three is fine. I saw it all.", &[ALICE, BOB, CAROL]).await
    }

    /// Bob is removed, and can read no more, not even what a Store has kept.
    async fn bob_is_removed(&mut self) -> Result<(), CliError> {
        const LEFT: [usize; 2] = [ALICE, CAROL];
        self.stage.scene("Alice removes Bob")?;
        let params = json!({"group": self.group, "accounts": [self.members[BOB].account]});
        self.members[ALICE].call("remove_members", params).await?;
        let is_it = |event: &Value| event["type"] == "group_left" && event["removed"] == true;
        self.members[BOB].event("his removal", is_it).await?;
        self.stage.say("Bob is told that he was removed");
        self.agree(&LEFT).await?;
        self.published().await?;
        self.stage.sync(&self.observer, 1).await?;
        self.say(ALICE, "We plan the surprise without him.", &LEFT).await?;
        self.say(CAROL, "He will love it. I call his sister.", &LEFT).await?;
        let params = json!({"group": self.group, "text": "Can anybody hear me?"});
        let refused = self.members[BOB].ask("send", params).await?;
        let code = refused["error"]["code"].as_str().unwrap_or("nothing").to_owned();
        self.stage.say(format!("Bob tries to write: refused ({code})"));
        self.ledger.check(
            "the removed member cannot write",
            code == "not_member",
            format!("answer: {code}"),
        );
        // He starts again and fetches everything that the Store has, including the two messages.
        self.members[BOB].offline().await?;
        self.members[BOB].online().await?;
        self.stage.say("Bob starts again and fetches everything, but cannot open any of it");
        self.stage.sync(&self.observer, 0).await
    }

    /// Records what all members have at the end, and ends their processes.
    async fn close(mut self, network: &NetworkParams) -> Result<Summary, CliError> {
        self.published().await?;
        self.agree(&[ALICE, CAROL]).await?;
        for n in 0..self.members.len() {
            let params = json!({"group": self.group, "limit": 1000});
            let history = self.members[n].call("history", params).await?;
            let params = json!({"group": self.group});
            let missing = self.members[n].call("missing", params.clone()).await?;
            let group = self.members[n].call("group", params).await?;
            self.ledger.final_view(n, history, &missing, group);
        }
        try_join_all(self.members.iter_mut().map(Member::offline)).await?;
        let events: Vec<_> = self.members.iter().map(Member::events).collect();
        self.ledger.published(&events);
        // Now that no member can publish any more, the count is final.
        self.observer.wait_for(self.ledger.waku_messages()).await?;
        let same = self.observer.agrees_with_store().await?;
        let seen = self.observer.seen(0);
        self.observer.stop().await;
        Ok(self.ledger.summary(&seen, same, network))
    }

    /// A member sends a message. Waits until all readers have read it.
    async fn say(&mut self, sender: usize, text: &str, readers: &[usize]) -> Result<(), CliError> {
        let params = json!({"group": self.group, "text": text});
        let sent = self.members[sender].call("send", params).await?;
        let id = sent["message"].as_str().ok_or_else(|| failure("a message has no id"))?;
        self.ledger.sent(sender, text, id);
        for reader in readers.iter().copied().filter(|reader| *reader != sender) {
            let is_it = |event: &Value| {
                event["type"] == "message_received" && event["message"]["message"] == id
            };
            self.members[reader].event(text, is_it).await?;
            self.ledger.read(reader, id);
        }
        self.stage.say(format!("{}: {text}", NAMES[sender]));
        self.stage.sync(&self.observer, 1).await
    }

    /// Waits until nothing is left to publish.
    async fn published(&mut self) -> Result<(), CliError> {
        for member in self.members.iter_mut().filter(|member| member.pid().is_some()) {
            member.call("wait_published", json!({})).await?;
        }
        Ok(())
    }

    /// Waits until these members follow the same epoch of the group.
    async fn agree(&mut self, who: &[usize]) -> Result<(), CliError> {
        let news = who.iter().map(|n| WatchStream::new(self.members[*n].news()));
        let mut news: SelectAll<_> = news.collect();
        let names: Vec<_> = who.iter().map(|n| NAMES[*n]).collect();
        within(format_args!("one epoch at {}", names.join(", ")), async {
            loop {
                let mut epochs = Vec::new();
                for n in who {
                    let params = json!({"group": self.group});
                    let group = self.members[*n].call("group", params).await?;
                    epochs.push((group["epoch_id"].clone(), group["name"].clone()));
                }
                if epochs.windows(2).all(|pair| pair[0] == pair[1]) {
                    return Ok(());
                }
                if news.next().await.is_none() {
                    return Err(failure("no process is left to agree"));
                }
            }
        })
        .await
    }
}

/// Waits for the beginning of the next slot, which the protocol fixes.
async fn next_slot(network: &NetworkParams) {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(Timestamp(0), |since| Timestamp(since.as_millis() as u64));
    let next = Timestamp::from_secs((now.secs() / network.slot_secs + 1) * network.slot_secs);
    tokio::time::sleep(next.since(now)).await;
}
