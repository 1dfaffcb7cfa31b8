//! The tables. A change gets a new version and a step that brings older files up to it.

/// The oldest version that can be brought up to date. The tables of 1 to 3, which no release wrote,
/// were others.
pub(super) const OLDEST: i64 = 4;

/// The version that this code writes, kept in `user_version`.
pub(super) const VERSION: i64 = OLDEST + STEPS.len() as i64 - 1;

/// The first makes an empty file [`OLDEST`]; each further one leads to the next version.
pub(super) const STEPS: [&str; 1] = ["
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- People.
CREATE TABLE contact (account BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE request (id BLOB PRIMARY KEY, received_at INTEGER NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE inbox_key (public BLOB PRIMARY KEY, made_at INTEGER NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE key_package (reference BLOB PRIMARY KEY, made_at INTEGER NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE used_package (mark BLOB PRIMARY KEY, used_at INTEGER NOT NULL) WITHOUT ROWID;

-- Groups. An epoch is what an epoch id names; its MLS rows are its own.
CREATE TABLE grp (id BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE state (grp BLOB NOT NULL, epoch BLOB NOT NULL, data BLOB NOT NULL, PRIMARY KEY (grp, epoch)) WITHOUT ROWID;
-- When a state ceased to be the one that is followed: from then on its age counts.
CREATE TABLE superseded (epoch BLOB PRIMARY KEY, grp BLOB NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
-- In pages, of which a message changes few.
CREATE TABLE mls_row (epoch BLOB NOT NULL, key BLOB NOT NULL, page INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (epoch, key, page)) WITHOUT ROWID;
CREATE TABLE root_line (grp BLOB NOT NULL, id BLOB NOT NULL, slot INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (grp, id)) WITHOUT ROWID;
CREATE TABLE commit_node (grp BLOB NOT NULL, id BLOB NOT NULL, depth INTEGER NOT NULL, node BLOB NOT NULL, frame BLOB, PRIMARY KEY (grp, id)) WITHOUT ROWID;
-- Outside of what rolls back: generations that left the device, by epoch id.
CREATE TABLE sent (epoch BLOB PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
-- What is to be said and is not encrypted yet.
CREATE TABLE draft (grp BLOB NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (grp, number)) WITHOUT ROWID;
CREATE TABLE intent (id BLOB PRIMARY KEY, grp BLOB NOT NULL, due_at INTEGER NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;

-- What was received and sent.
CREATE TABLE chain (grp BLOB NOT NULL, installation BLOB NOT NULL, data BLOB NOT NULL, PRIMARY KEY (grp, installation)) WITHOUT ROWID;
-- What each own item changes: the next number, and which heads of others were said.
CREATE TABLE numbers (grp BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE head (grp BLOB NOT NULL, installation BLOB NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (grp, installation)) WITHOUT ROWID;
CREATE TABLE gaps (grp BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
-- The cuts of states that are gone: the last number that counts of a membership that ended.
CREATE TABLE cut (grp BLOB NOT NULL, installation BLOB NOT NULL, since BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (grp, installation, since)) WITHOUT ROWID;
CREATE TABLE seen (grp BLOB NOT NULL, hash BLOB NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (grp, hash)) WITHOUT ROWID;
CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    grp BLOB NOT NULL,
    message BLOB NOT NULL,
    sent_at INTEGER NOT NULL,
    installation BLOB NOT NULL,
    -- None while it waits to be encrypted.
    seq INTEGER,
    flagged INTEGER NOT NULL DEFAULT 0,
    data BLOB NOT NULL,
    UNIQUE (grp, message)
);
CREATE INDEX message_by_sender ON message (grp, installation, seq);
-- The history is read backwards, a screen at a time.
CREATE INDEX message_by_group ON message (grp, id);
CREATE TABLE deferred (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    grp BLOB NOT NULL,
    hash BLOB NOT NULL,
    -- 1: a frame, which a member sealed. 0: an envelope that does not open, by whomever.
    opened INTEGER NOT NULL,
    size INTEGER NOT NULL,
    kept_at INTEGER NOT NULL,
    -- The slot that it waits for, where it does not wait for a state.
    slot INTEGER,
    data BLOB NOT NULL,
    UNIQUE (grp, hash)
);
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    data BLOB NOT NULL
);
CREATE TABLE event (cursor INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL);

-- Several installations of one account.
CREATE TABLE account_log (account BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE own_installation (id BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE read_mark (grp BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE self_welcome (installation BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE transfer (installation BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
"];
