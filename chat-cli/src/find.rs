//! Finding what the user means by a full id, a name, or the end of an id.

use std::fmt::Display;

use waku_chat::{AccountId, Client, GroupId, GroupView, InstallationView, Membership, RequestView};

use crate::error::CliError;
use crate::show::text;

/// How many characters of an id's end are needed: fewer are too easily mistyped.
const MIN_END: usize = 4;

/// Something that the user can name.
struct Named<T> {
    id: T,
    names: Vec<String>,
}

/// Finds the one thing that has this id, or else this name, or else an id that ends like this. None
/// if nothing does.
fn find<T: Copy + Display>(
    kind: &str,
    wanted: &str,
    things: &[Named<T>],
) -> Result<Option<T>, CliError> {
    let wanted = wanted.trim();
    let by = |test: &dyn Fn(&Named<T>) -> bool| -> Vec<T> {
        things.iter().filter(|thing| test(thing)).map(|thing| thing.id).collect()
    };
    let exact = by(&|thing| thing.id.to_string() == wanted);
    let named = by(&|thing| thing.names.iter().any(|name| name == wanted));
    let ends = by(&|thing| wanted.len() >= MIN_END && thing.id.to_string().ends_with(wanted));
    for found in [exact, named, ends] {
        match found.as_slice() {
            [] => {}
            [one] => return Ok(Some(*one)),
            several => {
                let ids: Vec<_> = several.iter().map(|id| format!("\n  {id}")).collect();
                return Err(CliError::Name(format!(
                    "more than one {kind} is called {}; give the id:{}",
                    quoted(wanted),
                    ids.concat()
                )));
            }
        }
    }
    Ok(None)
}

fn unknown(kind: &str, wanted: &str) -> CliError {
    CliError::Name(format!("there is no {kind} {}", quoted(wanted)))
}

fn quoted(text: &str) -> String {
    format!("“{}”", text::shorten(text, 60, 20))
}

/// Finds a group. A group that the account is in goes before one that it was in.
pub(crate) async fn group(client: &Client, wanted: &str) -> Result<GroupView, CliError> {
    let mut groups = client.groups().await?;
    let named = |present: bool| -> Vec<_> {
        let is_present = |g: &&GroupView| {
            present == matches!(g.membership, Membership::Active | Membership::Leaving)
        };
        let named = |g: &GroupView| Named { id: g.id, names: vec![g.name.clone()] };
        groups.iter().filter(is_present).map(named).collect()
    };
    let id = match find("group", wanted, &named(true))? {
        Some(id) => Some(id),
        None => find("group", wanted, &named(false))?,
    };
    groups.retain(|group| Some(group.id) == id);
    groups.pop().ok_or_else(|| unknown("group", wanted))
}

/// Finds a contact.
pub(crate) async fn contact(client: &Client, wanted: &str) -> Result<AccountId, CliError> {
    // A full id is taken as it is: the command reports better if it is not a contact's.
    if let Ok(id) = wanted.parse() {
        return Ok(id);
    }
    let contacts: Vec<_> = client
        .contacts()
        .await?
        .into_iter()
        .map(|contact| Named { id: contact.account, names: contact.name.into_iter().collect() })
        .collect();
    find("contact", wanted, &contacts)?.ok_or_else(|| unknown("contact", wanted))
}

/// Finds several contacts.
pub(crate) async fn contacts(
    client: &Client,
    wanted: &[String],
) -> Result<Vec<AccountId>, CliError> {
    let mut found = Vec::with_capacity(wanted.len());
    for name in wanted {
        found.push(contact(client, name).await?);
    }
    Ok(found)
}

/// Finds a member of a group.
pub(crate) async fn member(
    client: &Client,
    group: GroupId,
    wanted: &str,
) -> Result<AccountId, CliError> {
    if let Ok(id) = wanted.parse() {
        return Ok(id);
    }
    let members: Vec<_> = client
        .members(group)
        .await?
        .unwrap_or_default()
        .into_iter()
        .map(|member| Named { id: member.account, names: member.name.into_iter().collect() })
        .collect();
    find("member", wanted, &members)?.ok_or_else(|| unknown("member", wanted))
}

/// Finds an installation of the account. An active one goes before a revoked one.
pub(crate) async fn installation(
    client: &Client,
    wanted: &str,
) -> Result<InstallationView, CliError> {
    let mut views = client.installations().await?;
    let named = |revoked: bool| -> Vec<_> {
        let fits = |view: &&InstallationView| view.revoked.is_some() == revoked;
        let named = |view: &InstallationView| Named {
            id: view.installation,
            names: view.name.iter().cloned().collect(),
        };
        views.iter().filter(fits).map(named).collect()
    };
    let id = match find("installation", wanted, &named(false))? {
        Some(id) => Some(id),
        None => find("installation", wanted, &named(true))?,
    };
    views.retain(|view| Some(view.installation) == id);
    views.pop().ok_or_else(|| unknown("installation", wanted))
}

/// Finds a request.
pub(crate) async fn request(client: &Client, wanted: &str) -> Result<RequestView, CliError> {
    let mut requests = client.requests().await?;
    let named: Vec<_> = requests
        .iter()
        .map(|request| Named {
            id: request.id,
            names: request
                .name
                .iter()
                .chain([&request.group_name])
                .filter(|name| !name.is_empty())
                .cloned()
                .chain([request.from.to_string()])
                .collect(),
        })
        .collect();
    let id = find("request", wanted, &named)?;
    requests.retain(|request| Some(request.id) == id);
    requests.pop().ok_or_else(|| unknown("request", wanted))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn things() -> Vec<Named<GroupId>> {
        let thing = |n, name: &str| Named { id: GroupId([n; 32]), names: vec![name.to_owned()] };
        vec![thing(1, "Picnic"), thing(2, "Work"), thing(3, "Work")]
    }

    #[test]
    fn id_then_name_then_end() {
        let things = things();
        let id = GroupId([2; 32]).to_string();
        assert_eq!(find("group", &id, &things).unwrap(), Some(GroupId([2; 32])));
        assert_eq!(find("group", " Picnic ", &things).unwrap(), Some(GroupId([1; 32])));
        assert_eq!(find("group", &id[id.len() - 6..], &things).unwrap(), Some(GroupId([2; 32])));
        assert_eq!(find("group", &id[id.len() - 3..], &things).unwrap(), None);
        let error = find("group", "Work", &things).unwrap_err().to_string();
        assert!(error.contains("more than one") && error.contains(&id), "{error}");
        assert_eq!(find("group", "picnic", &things).unwrap(), None);
        assert_eq!(find("group", "", &things).unwrap(), None);
    }

    #[test]
    fn a_name_that_looks_like_an_end_wins() {
        let mut things = things();
        let id = things[1].id.to_string();
        things[0].names = vec![id[id.len() - 5..].to_owned()];
        assert_eq!(find("group", &id[id.len() - 5..], &things).unwrap(), Some(GroupId([1; 32])));
    }
}
