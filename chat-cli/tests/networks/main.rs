//! Members on libwaku and on the embedded node chat in one network, around hubs of different make:
//! this project's node, libwaku, and wakunode2 if `NWAKU_BIN` names one.
//!
//! The client and the program's transports are the real ones; each member is connected to the hub
//! alone, so all that members read has come through the hub's relay or out of its Store.
#![allow(clippy::unwrap_used)]

mod hub;
mod member;
mod recorder;

use std::path::PathBuf;
use std::time::Duration;

use waku_chat::GroupId;
use waku_sys::testing;
use waku_transport::libwaku::Library;

use hub::Hub;
use member::{Member, On};

/// The name of these tests.
const SUITE: &str = env!("CARGO_CRATE_NAME");

/// The longest wait for any step, far more than it takes, so that the test fails instead of hanging. It is
/// also more than the minute for which libwaku's mesh stays empty after an outage.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);

/// Waits for something, with a time limit.
pub(crate) async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {} s", PATIENCE.as_secs()),
    }
}

/// The libwaku of members: the one that `LIBWAKU_PATH` names, otherwise the drop-in.
fn library() -> Option<Library> {
    testing::library(SUITE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn around_this_projects_node() {
    let Some(library) = library() else { return };
    let hub = Hub::embedded().await;
    members_chat(hub, &library).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn around_a_node_of_libwaku() {
    let Some(library) = library() else { return };
    let hub = Hub::libwaku(&library).await;
    members_chat(hub, &library).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn around_wakunode2() {
    let Some(program) = std::env::var_os("NWAKU_BIN") else {
        return testing::skipped(SUITE, "NWAKU_BIN is not set");
    };
    let Some(library) = library() else { return };
    let hub = Hub::wakunode2(PathBuf::from(program)).await;
    members_chat(hub, &library).await;
}

/// Members create a group and chat. On each kind of node, one goes offline, misses messages and a
/// change of the group, and gets them from the hub's Store when it is online again.
async fn members_chat(hub: Hub, library: &Library) {
    let home = tempfile::tempdir().unwrap();
    let mut members = Vec::new();
    for (name, on) in [
        ("Lea", On::Libwaku(library.clone())),
        ("Emil", On::Embedded),
        ("Lou", On::Libwaku(library.clone())),
    ] {
        members.push(Member::create(name, on, &hub.address, home.path()).await);
    }
    let group = found_group(&members).await;
    agree(&members, group, "Hikers").await;

    let mut said = Vec::new();
    for sender in 0..members.len() {
        let text = format!("{} is here", members[sender].name);
        say(&members, sender, group, &text).await;
        said.push(text);
    }
    for away in [2, 1] {
        let name = members[away].name;
        members[away].offline().await;
        let here: Vec<_> = (0..members.len()).filter(|n| *n != away).collect();
        let before: Vec<_> = members.iter().map(Member::published).collect();
        for sender in &here {
            let text = format!("{} speaks while {name} is away", members[*sender].name);
            say(&members, *sender, group, &text).await;
            said.push(text);
        }
        let title = format!("Without {name}");
        members[here[0]].client().describe_group(group, Some(title.clone()), None).await.unwrap();
        let others = members.iter().filter(|member| member.name != name);
        agree(others, group, &title).await;
        let mut missed = Vec::new();
        for n in &here {
            members[*n].client().wait_published(PATIENCE).await.unwrap();
            missed.extend_from_slice(&members[*n].published()[before[*n].len()..]);
        }
        assert!(missed.len() >= 3, "two messages and a commit, at least: {missed:?}");

        members[away].online(&hub.address).await;
        members[away].client().wait_caught_up(PATIENCE).await.unwrap();
        let fetched = members[away].fetched();
        for hash in &missed {
            assert!(fetched.contains(hash), "{name} has not fetched {hash} from the Store");
        }
        agree(&members, group, &title).await;
        assert_eq!(members[away].texts(group).await, sorted(&said), "{name}, back again");
        let text = format!("{name} is back");
        say(&members, away, group, &text).await;
        said.push(text);
    }

    agree(&members, group, "Without Emil").await;
    for member in &members {
        assert_eq!(member.texts(group).await, sorted(&said), "{}", member.name);
        assert!(member.client().missing(group).await.unwrap().is_empty(), "{}", member.name);
        let refused = member.client().counters().await.unwrap().refused;
        assert!(refused.is_empty(), "{}: {refused:?}", member.name);
    }
    for mut member in members {
        member.offline().await;
    }
    hub.stop().await;
}

/// The first member creates a group with the others, who accept.
async fn found_group(members: &[Member]) -> GroupId {
    let mut accounts = Vec::new();
    for member in &members[1..] {
        let link = member.client().contact_link().await.unwrap();
        accounts.push(members[0].client().add_contact(link, None).await.unwrap().account);
    }
    let created = members[0].client().create_group("Hikers", "", &accounts).await;
    let group = created.unwrap().id;
    for member in &members[1..] {
        member.join(group).await;
    }
    group
}

/// One member sends a message, and all others who are online read it.
async fn say(members: &[Member], sender: usize, group: GroupId, text: &str) {
    members[sender].client().send(group, text).await.unwrap();
    let there = members.iter().enumerate().filter(|(n, m)| *n != sender && m.is_online());
    for (_, reader) in there {
        reader.reads(text).await;
    }
}

/// Waits until all members see the same group: the epoch id, which is a hash of the epoch's
/// authenticator, the members, and the name.
async fn agree(
    members: impl IntoIterator<Item = &Member, IntoIter: Clone>,
    group: GroupId,
    name: &str,
) {
    let members = members.into_iter();
    let (first, others) = (members.clone().next().unwrap(), members.skip(1));
    let wanted = first.sees(group, |view| view.name == name && view.accounts == 3).await;
    for other in others {
        let view =
            other.sees(group, |view| view.epoch_id == wanted.epoch_id && view.name == name).await;
        assert_eq!((view.epoch, view.accounts), (wanted.epoch, wanted.accounts));
    }
}

fn sorted(texts: &[String]) -> Vec<String> {
    let mut texts = texts.to_vec();
    texts.sort();
    texts
}
