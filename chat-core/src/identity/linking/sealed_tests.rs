//! Tests of sealed linking messages.

use super::*;
use crate::identity::linking::LinkingCode;
use crate::identity::testing::{NETWORK, NOW, OTHER_NETWORK, flip, rng};
use proptest::prelude::*;

fn key(seed: u64) -> LinkingKey {
    LinkingKey::generate(&mut rng(seed))
}

fn begin() -> Transcript {
    LinkingCode::new(&mut rng(1), [7; 32], NOW).transcript(&NETWORK)
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
fn what_cannot_be_sealed_is_refused() {
    let to = key(4).public();
    let seal =
        |to: &[u8; 32], text: &[u8]| seal(&mut rng(1), to, Step::Grant, &begin(), text, &NETWORK);
    // A point of small order: everyone would know the shared secret.
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
fn a_key_is_stored_and_restored() {
    let it = key(1);
    assert_eq!(LinkingKey::from_secret(&it.secret()).public(), it.public());
    assert_eq!(format!("{it:?}"), "LinkingKey(…)");
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = Sealed::decode(&bytes) {
            prop_assert!(message.open(&key(4), &begin(), &NETWORK).is_err());
        }
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
}
