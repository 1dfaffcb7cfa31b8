//! Commands that the bytes choose.

use chat_core::ids::{AccountId, GroupId, RequestId};

use crate::world::{Hand, Unanswered};

/// A command that the bytes chose, with all that it may need.
pub(super) struct Wish {
    pub(super) kind: u8,
    pub(super) group: GroupId,
    pub(super) account: AccountId,
    pub(super) request: RequestId,
    /// The peer's contact link, if a known one is meant.
    pub(super) link: Option<String>,
    pub(super) text: String,
    pub(super) second: String,
    pub(super) yes: bool,
    pub(super) cursor: u64,
}

impl Wish {
    /// Gives the command. The group that it made, if it made one.
    pub(super) fn ask(self, user: Hand<'_>) -> Result<Option<GroupId>, Unanswered> {
        let Self { kind, group, account, request, link, text, second, yes, cursor } = self;
        match kind {
            0 if yes => user.short_contact_link().map(drop),
            0 => user.contact_link().map(drop),
            1 => match link {
                Some(link) => user.add_contact(&link, Some(&text)).map(drop),
                None => user.add_contact(&text, None).map(drop),
            },
            2 => user.remove_contact(account),
            3 => return user.create_described_group(&text, &second, vec![account]).map(Some),
            4 => user.add_members(group, vec![account, account]).map(drop),
            5 => user.remove_members(group, vec![account]).map(drop),
            6 if yes => user.leave(group),
            7 => user.rename(group, &text).map(drop),
            8 => user.describe(group, None, Some(&text)).map(drop),
            9 => user.set_admin(group, account, yes).map(drop),
            10 => user.accept(request),
            11 => user.decline(request),
            12 => user.block(request),
            13 => user.acknowledge(cursor),
            14 => user.add_members(group, Vec::new()).map(drop),
            _ => user.send(group, &text).map(drop),
        }
        .map(|()| None)
    }
}
