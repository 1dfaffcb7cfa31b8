use super::*;
use proptest::prelude::*;

fn policy() -> GroupPolicy {
    GroupPolicy {
        name: "Böller & Söhne".into(),
        description: "fireworks".into(),
        admins: BTreeMap::from([(AccountId([9; 32]), 0), (AccountId([2; 32]), 3)]),
        next_admin: 4,
        network: NetworkId([5; 32]),
        version: PROTOCOL_VERSION,
    }
}

#[test]
fn the_encoding_is_pinned() {
    let mut expected = vec![0, 0, 0, 1];
    expected.extend([5; 32]);
    expected.extend([0, 16]);
    expected.extend("Böller & Söhne".as_bytes());
    expected.extend([0, 9]);
    expected.extend(b"fireworks");
    expected.extend([0, 0, 0, 4, 0, 2]);
    expected.extend([2; 32]);
    expected.extend([0, 0, 0, 3]);
    expected.extend([9; 32]);
    expected.extend([0, 0, 0, 0]);
    assert_eq!(policy().encode().unwrap(), expected);
    assert_eq!(GroupPolicy::decode(&expected), Ok(policy()));
}

#[test]
fn the_creator_is_admin_number_zero() {
    let new = GroupPolicy::new(AccountId([1; 32]), "n".into(), String::new(), NetworkId([0; 32]));
    assert_eq!(new.admins.get(&AccountId([1; 32])), Some(&0));
    assert!(new.is_admin(&AccountId([1; 32])) && !new.is_admin(&AccountId([2; 32])));
    assert_eq!(GroupPolicy::decode(&new.encode().unwrap()), Ok(new));
}

#[test]
fn limits_hold_in_both_directions() {
    let with = |change: fn(&mut GroupPolicy)| {
        let mut policy = policy();
        change(&mut policy);
        policy.encode()
    };
    assert!(with(|p| p.name = "x".repeat(MAX_NAME)).is_ok());
    assert_eq!(
        with(|p| p.name = "x".repeat(MAX_NAME + 1)),
        Err(PolicyError::NameTooLong(MAX_NAME + 1))
    );
    assert_eq!(
        with(|p| p.description = "x".repeat(MAX_DESCRIPTION + 1)),
        Err(PolicyError::DescriptionTooLong(MAX_DESCRIPTION + 1))
    );
    assert_eq!(with(|p| p.admins.clear()), Err(PolicyError::AdminCount(0)));
    assert_eq!(with(|p| p.next_admin = 3), Err(PolicyError::AdminNumber));
    assert_eq!(with(|p| p.version = 2), Err(PolicyError::Version(2)));
    let twice = |p: &mut GroupPolicy| {
        p.admins.insert(AccountId([7; 32]), 3);
    };
    assert_eq!(with(twice), Err(PolicyError::AdminNumber));
    let crowd = |p: &mut GroupPolicy| {
        p.admins = (0..=MAX_ADMINS as u32)
            .map(|n| {
                let mut id = [0; 32];
                id[..4].copy_from_slice(&n.to_be_bytes());
                (AccountId(id), n)
            })
            .collect();
        p.next_admin = 1000;
    };
    assert_eq!(with(crowd), Err(PolicyError::AdminCount(MAX_ADMINS + 1)));
}

#[test]
fn other_spellings_are_refused() {
    let bytes = policy().encode().unwrap();
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(GroupPolicy::decode(&longer), Err(PolicyError::Trailing(1)));
    for end in 0..bytes.len() {
        assert_eq!(GroupPolicy::decode(&bytes[..end]), Err(PolicyError::Truncated), "{end}");
    }
    // Admins in another order, and one that is there twice.
    let admins = bytes.len() - 72;
    let mut swapped = bytes[..admins].to_vec();
    swapped.extend(&bytes[admins + 36..]);
    swapped.extend(&bytes[admins..admins + 36]);
    assert_eq!(GroupPolicy::decode(&swapped), Err(PolicyError::AdminOrder));
    let mut twice = bytes[..admins + 36].to_vec();
    twice.extend(&bytes[admins..admins + 36]);
    assert_eq!(GroupPolicy::decode(&twice), Err(PolicyError::AdminOrder));
    let mut not_text = bytes.clone();
    not_text[39] = 0xff;
    assert_eq!(GroupPolicy::decode(&not_text), Err(PolicyError::NotText));
    let mut long_name = bytes;
    long_name[36] = 0xff;
    assert!(matches!(GroupPolicy::decode(&long_name), Err(PolicyError::NameTooLong(_))));
}

proptest! {
    #[test]
    fn round_trip(
        name in ".{0,30}",
        description in ".{0,200}",
        admins in prop::collection::btree_map(any::<[u8; 32]>(), any::<u32>(), 1..20),
        network: [u8; 32],
    ) {
        let policy = GroupPolicy {
            name,
            description,
            next_admin: admins.len() as u32,
            admins: admins.into_keys().zip(0..).map(|(a, n)| (AccountId(a), n)).collect(),
            network: NetworkId(network),
            version: PROTOCOL_VERSION,
        };
        let bytes = policy.encode().unwrap();
        prop_assert_eq!(GroupPolicy::decode(&bytes), Ok(policy));
    }

    #[test]
    fn any_bytes_are_an_answer_and_what_is_read_is_written_alike(
        mut bytes in prop::collection::vec(any::<u8>(), 0..300),
        at in 0usize..300,
        to: u8,
        own: bool,
    ) {
        if own {
            bytes = policy().encode().unwrap();
            let at = at % bytes.len();
            bytes[at] = to;
        }
        if let Ok(policy) = GroupPolicy::decode(&bytes) {
            prop_assert_eq!(policy.encode().unwrap(), bytes);
        }
    }
}
