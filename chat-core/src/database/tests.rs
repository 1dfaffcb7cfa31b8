//! What the database costs: room on disk, and work for a question.

use rusqlite::params;
use zeroize::Zeroizing;

use super::*;
use crate::group::pages::RawRows;
use crate::group::rows::Rows;
use crate::ids::{EpochId, GroupId, InstallationId, MessageId};
use crate::time::Timestamp;

/// Bytes of the database that hold something.
fn size(store: &Database) -> i64 {
    /// Of SQLCipher's pages.
    const PAGE: i64 = 4096;
    let pragma = |name: &str| -> i64 {
        store.conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap()
    };
    (pragma("page_count") - pragma("freelist_count")) * PAGE
}

#[test]
fn the_state_of_a_large_group_takes_little_more_than_its_size_on_disk() {
    const STATE: usize = 1 << 20;
    let store = Database::in_memory().unwrap();
    let empty = size(&store);
    let rows = Rows::default();
    // A key is a row's number, the group and an epoch or a reference: some 70 bytes.
    rows.absorb(&RawRows::from([
        (vec![1; 70], Zeroizing::new(vec![7; STATE / 2])),
        (vec![2; 70], Zeroizing::new(vec![8; STATE / 2])),
    ]));
    store.begin().unwrap();
    store.write_mls_rows(&EpochId([3; 32]), &rows.take_changes()).unwrap();
    store.commit().unwrap();
    let taken = size(&store) - empty;
    println!("{taken} bytes on disk for {STATE}");
    assert!(taken < 3 * STATE as i64 / 2, "{taken} bytes on disk for {STATE}");
    assert_eq!(store.mls_rows(&EpochId([3; 32])).unwrap(), rows.into_raw());
}

#[test]
fn a_screen_of_history_is_read_without_sorting_the_rest() {
    let store = Database::in_memory().unwrap();
    store.begin().unwrap();
    for n in 0..400u64 {
        let mut hash = [0; 16];
        hash[..8].copy_from_slice(&n.to_be_bytes());
        let group = GroupId([(n % 2) as u8; 32]);
        let from = InstallationId([(n % 3) as u8; 32]);
        store
            .add_message(&group, &MessageId(hash), Timestamp(n), &from, Some(n), false, &n)
            .unwrap();
    }
    store.commit().unwrap();
    let read: Vec<u64> = store
        .messages::<u64>(&GroupId([1; 32]), None, 3)
        .unwrap()
        .into_iter()
        .map(|row| row.data)
        .collect();
    assert_eq!(read, [395, 397, 399]);
    let plan: Vec<String> = store
        .conn
        .prepare(&format!("EXPLAIN QUERY PLAN {}", messages::MESSAGES))
        .unwrap()
        .query_map(params![[1u8; 32], i64::MAX, 3], |row| row.get(3))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(plan.iter().all(|step| !step.contains("TEMP B-TREE")), "{plan:?}");
}
