//! Groups and their members.

use waku_chat::{GroupView, MemberView, Membership};

use super::{count, text};

/// A group, with its description on a second line if it has one.
pub(crate) fn group(group: &GroupView) -> String {
    let role = match group.membership {
        Membership::Active if group.admin => "admin",
        Membership::Active => "member",
        Membership::Leaving => "leaving",
        Membership::Left => "left",
        Membership::Removed => "removed",
    };
    let description = match group.description.as_str() {
        "" => String::new(),
        text => format!("\n    {}", text::line(text)),
    };
    format!(
        "{}  “{}”  {}, epoch {}  {role}{description}",
        group.id,
        text::line(&group.name),
        count(group.accounts, "member", "members"),
        group.epoch,
    )
}

/// A member in one line.
pub(crate) fn member(member: &MemberView) -> String {
    let name = match (&member.name, member.own) {
        (_, true) => "you".to_owned(),
        (Some(name), _) => text::line(name),
        (None, _) => "(not a contact)".to_owned(),
    };
    let admin = member.admin.map_or(String::new(), |number| format!("  admin {number}"));
    format!("{}  {name}{admin}", member.account)
}
