//! Tests of the messages of a linking.

use super::*;
use crate::identity::linking::LinkingCode;
use crate::identity::testing::{NETWORK, NOW, OTHER_NETWORK, Person, flip, rng};
use proptest::prelude::*;

const ACCOUNT: AccountId = AccountId([5; 32]);

fn key(seed: u64) -> LinkingKey {
    LinkingKey::generate(&mut rng(seed))
}

fn begin() -> Transcript {
    Transcript::begin(&LinkingCode::new(&mut rng(1), [7; 32], NOW), &NETWORK)
}

fn introduction() -> Introduction {
    let key = InstallationKey::generate(&mut rng(2));
    Introduction::new([8; 32], &key, "phone".into(), &ACCOUNT, &NETWORK)
}

fn sealed(step: Step, text: &[u8]) -> Vec<u8> {
    seal(&mut rng(3), &key(4).public(), step, &begin(), text, &NETWORK).unwrap()
}

#[test]
fn a_message_opens_at_its_receiver_in_its_place_only() {
    let bytes = sealed(Step::Answer, b"text");
    let message = Sealed::decode(&bytes).unwrap();
    assert_eq!(message.step, Step::Answer);
    assert_eq!(*message.open(&key(4), &begin(), &NETWORK).unwrap(), b"text");
    let refused = Err(MessageError::Sealed);
    assert_eq!(message.open(&key(5), &begin(), &NETWORK), refused);
    assert_eq!(message.open(&key(4), &begin(), &OTHER_NETWORK), refused);
    let later = begin().then(Step::Answer, b"text", &NETWORK);
    assert_eq!(message.open(&key(4), &later, &NETWORK), refused);
    for step in Step::ALL {
        let moved = Sealed { step, ..message.clone() };
        assert_eq!(moved.open(&key(4), &begin(), &NETWORK).is_ok(), step == Step::Answer);
    }
    // No two encryptions share a byte string.
    let again = seal(&mut rng(9), &key(4).public(), Step::Answer, &begin(), b"text", &NETWORK);
    assert_ne!(again.unwrap(), bytes);
}

#[test]
fn each_step_has_one_speaker() {
    let by_grantor = Step::ALL.map(Step::by_grantor);
    assert_eq!(by_grantor, [true, false, true, true, false, true, false, true, false]);
}

#[test]
fn what_cannot_be_sealed_is_refused() {
    let to = key(4).public();
    let seal =
        |to: &[u8; 32], text: &[u8]| seal(&mut rng(1), to, Step::Grant, &begin(), text, &NETWORK);
    // A point of small order: everybody would know the shared secret.
    assert_eq!(seal(&[0; 32], b"x"), Err(MessageError::Key));
    let large = vec![0; MAX_MESSAGE_TEXT + 1];
    assert_eq!(seal(&to, &large), Err(MessageError::TooLarge(large.len())));
    let body = seal(&to, &large[1..]).unwrap();
    let frame = crate::wire::frame::Frame::new(crate::wire::frame::FrameKind::Linking, body);
    assert!(frame.encode().len() <= max_frame());
    assert!(Sealed::decode(&frame.body).is_ok());
}

#[test]
fn what_is_no_message_is_refused() {
    assert_eq!(Sealed::decode(&[8, 1]), Err(MessageError::Malformed));
    assert_eq!(Sealed::decode(&[8, 10]), Err(MessageError::Step(10)));
    assert_eq!(Sealed::decode(&[]), Err(MessageError::Step(0)));
    let huge = vec![0; max_frame() + 1];
    assert_eq!(Sealed::decode(&huge), Err(MessageError::TooLarge(huge.len())));
}

#[test]
fn texts_are_read_as_written() {
    let answer = LinkAnswer {
        key: [1; 32],
        account: ACCOUNT,
        installation: Person::new(1).device.id(),
        commitment: [2; 32],
    };
    assert_eq!(LinkAnswer::decode(&answer.encode()), Ok(answer));
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

#[test]
fn a_key_is_stored_and_restored() {
    let it = key(1);
    assert_eq!(LinkingKey::from_secret(&it.secret()).public(), it.public());
    assert_eq!(format!("{it:?}"), "LinkingKey(…)");
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Sealed::decode(&bytes);
        let _ = LinkAnswer::decode(&bytes);
        prop_assert!(Introduction::decode_and_verify(&bytes, &ACCOUNT, &NETWORK).is_err());
        let _ = Reveal::decode(&bytes);
        let _ = Grant::decode(&bytes);
        let _ = Arrival::decode(&bytes);
        let _ = Admission::decode(&bytes);
        let _ = Ending::decode(&bytes);
    }

    #[test]
    fn changed_or_cut_it_does_not_open(
        at: usize, bit in 0u8..8, cut in 1usize..100, step in 0usize..9,
        text in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let bytes = sealed(Step::ALL[step], &text);
        // A field that this version does not know may be added: then it is another message with
        // the same text.
        let changed = Sealed::decode(&flip(&bytes, at, bit))
            .and_then(|message| message.open(&key(4), &begin(), &NETWORK));
        if let Ok(read) = changed {
            prop_assert_eq!(&*read, &text);
        }
        let short = &bytes[..bytes.len() - cut.min(bytes.len())];
        let cut = Sealed::decode(short)
            .and_then(|message| message.open(&key(4), &begin(), &NETWORK));
        prop_assert!(cut.is_err());
    }

    #[test]
    fn a_cut_text_is_no_other(cut in 1usize..200) {
        let bytes = introduction().encode();
        let short = &bytes[..bytes.len() - cut.min(bytes.len())];
        prop_assert!(Introduction::decode_and_verify(short, &ACCOUNT, &NETWORK).is_err());
        let answer = LinkAnswer {
            key: [1; 32],
            account: ACCOUNT,
            installation: InstallationId([3; 32]),
            commitment: [2; 32],
        };
        let bytes = answer.encode();
        let short = &bytes[..bytes.len() - cut.min(bytes.len())];
        prop_assert!(LinkAnswer::decode(short).is_err());
    }
}
