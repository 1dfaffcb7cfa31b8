//! Tests of the texts of linking messages.

use super::*;
use crate::identity::linking::{EndCode, Ending, LinkingCode, Transcript};
use crate::identity::testing::{NETWORK, NOW, OTHER_NETWORK, Person, rng};
use proptest::prelude::*;

const ACCOUNT: AccountId = AccountId([5; 32]);

fn begin() -> Transcript {
    LinkingCode::new(&mut rng(1), [7; 32], NOW).transcript(&NETWORK)
}

fn introduction() -> Introduction {
    let key = InstallationKey::generate(&mut rng(2));
    Introduction::new([8; 32], &key, "phone".into(), &ACCOUNT, &NETWORK)
}

#[test]
fn texts_are_read_as_written() {
    let answer = LinkingAnswer {
        key: [1; 32],
        account: ACCOUNT,
        installation: Person::new(1).device.id(),
        commitment: [2; 32],
    };
    assert_eq!(LinkingAnswer::decode(&answer.encode()), Ok(answer));
    let it = introduction();
    assert_eq!(Introduction::decode_and_verify(&it.encode(), &ACCOUNT, &NETWORK), Ok(it));
    let reveal = Reveal { nonce: [3; 32] };
    assert_eq!(Reveal::decode(&reveal.encode()), Ok(reveal));
    let grant = Grant { log: vec![4; 100], card_secret: Zeroizing::new([5; 32]) };
    assert_eq!(Grant::decode(&grant.encode()), Ok(grant.clone()));
    assert_eq!(format!("{grant:?}"), "Grant(100 bytes of log, …)");
    let arrival = Arrival { key_package: vec![6; 10] };
    assert_eq!(Arrival::decode(&arrival.encode()), Ok(arrival));
    let admission = Admission { invitation: vec![7; 10] };
    assert_eq!(Admission::decode(&admission.encode()), Ok(admission));
    for code in EndCode::ALL {
        let ending = Ending { code, answer: begin() };
        assert_eq!(Ending::decode(&ending.encode()), Ok(ending));
    }
    let mut later = Ending { code: EndCode::Refused, answer: begin() }.encode();
    later[1] = 99;
    assert_eq!(Ending::decode(&later).unwrap().code, EndCode::Refused);
}

#[test]
fn a_newcomer_proves_its_key_for_this_account_and_network() {
    let it = introduction();
    let check = |it: &Introduction, account: &AccountId, network: &NetworkId| {
        Introduction::decode_and_verify(&it.encode(), account, network).map(drop)
    };
    let refused = Err(MessageError::Possession);
    assert_eq!(check(&it, &ACCOUNT, &NETWORK), Ok(()));
    assert_eq!(check(&it, &AccountId([6; 32]), &NETWORK), refused);
    assert_eq!(check(&it, &ACCOUNT, &OTHER_NETWORK), refused);
    let other = InstallationKey::generate(&mut rng(9)).id();
    let stolen = Introduction { installation: other, ..it };
    assert_eq!(check(&stolen, &ACCOUNT, &NETWORK), refused);
}

#[test]
fn a_name_is_one_line() {
    for good in ["phone", "Ada's téléphone ⛰", &"x".repeat(64)] {
        assert_eq!(check_name(good), Ok(()), "{good}");
    }
    for bad in ["", "  ", "a\nb", "a\u{202e}b", "a\u{7}", "a\u{2028}b", &"x".repeat(65)] {
        assert_eq!(check_name(bad), Err(MessageError::Name), "{bad:?}");
        let it = Introduction { name: bad.into(), ..introduction() };
        let answer = Introduction::decode_and_verify(&it.encode(), &ACCOUNT, &NETWORK);
        assert_eq!(answer, Err(MessageError::Name));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = LinkingAnswer::decode(&bytes);
        prop_assert!(Introduction::decode_and_verify(&bytes, &ACCOUNT, &NETWORK).is_err());
        let _ = Reveal::decode(&bytes);
        let _ = Grant::decode(&bytes);
        let _ = Arrival::decode(&bytes);
        let _ = Admission::decode(&bytes);
        let _ = Ending::decode(&bytes);
    }

    #[test]
    fn a_cut_text_is_no_other(cut in 1usize..200) {
        let bytes = introduction().encode();
        let short = &bytes[..bytes.len() - cut.min(bytes.len())];
        prop_assert!(Introduction::decode_and_verify(short, &ACCOUNT, &NETWORK).is_err());
        let answer = LinkingAnswer {
            key: [1; 32],
            account: ACCOUNT,
            installation: InstallationId([3; 32]),
            commitment: [2; 32],
        };
        let bytes = answer.encode();
        let short = &bytes[..bytes.len() - cut.min(bytes.len())];
        prop_assert!(LinkingAnswer::decode(short).is_err());
    }
}
