//! Who can open a doorbell, and what of it can be changed: nothing.

use proptest::prelude::*;

use super::*;
use crate::identity::log::EntrySigner;
use crate::identity::testing::{NETWORK, NOW, OTHER_NETWORK, Person, flip, rng};

fn offer(name: &str) -> InvitationOffer {
    InvitationOffer {
        secret: Zeroizing::new([5; 32]),
        slot: Slot(500_000),
        group_name: name.into(),
    }
}

fn content(person: &Person, key: &InstallationKey, name: &str) -> DoorbellContent {
    DoorbellContent {
        inviter: Credential::for_installation(&person.log, &key.id()).unwrap(),
        purpose: Purpose::Invitation(offer(name)),
    }
}

fn inboxes(count: u64) -> Vec<InboxKey> {
    (0..count).map(|i| InboxKey::generate(&mut rng(1000 + i), NOW)).collect()
}

fn publics(keys: &[InboxKey]) -> Vec<[u8; 32]> {
    keys.iter().map(InboxKey::public).collect()
}

fn name_of(doorbell: &Doorbell) -> &str {
    let Purpose::Invitation(offer) = &doorbell.purpose;
    &offer.group_name
}

fn rung(recipients: &[InboxKey]) -> (Person, Vec<u8>) {
    let person = Person::new(1);
    let content = content(&person, &person.device, "Hill walkers");
    let bytes =
        ring(&mut rng(7), &NETWORK, &publics(recipients), &content, &person.device).unwrap();
    (person, bytes)
}

#[test]
fn every_recipient_opens_it_and_nobody_else() {
    for count in 1..=DOORBELL_WRAPS as u64 {
        let mut keys = inboxes(count + 1);
        let stranger = keys.pop().unwrap();
        let (person, bytes) = rung(&keys);
        assert_eq!(bytes.len(), DOORBELL_BODY_LEN);
        let mut ids = Vec::new();
        for key in keys {
            let doorbell = answer(&bytes, &[key], &NETWORK).unwrap().unwrap();
            assert_eq!(doorbell.inviter.account, person.account.id());
            assert_eq!(doorbell.inviter.installation, person.device.id());
            assert_eq!(doorbell.purpose, Purpose::Invitation(offer("Hill walkers")));
            ids.push(doorbell.id);
        }
        ids.dedup();
        assert_eq!(ids.len(), 1);
        assert_eq!(answer(&bytes, &[stranger], &NETWORK), Ok(None));
        assert_eq!(answer(&bytes, &[], &NETWORK), Ok(None));
    }
}

#[test]
fn an_older_key_opens_it_too() {
    let keys = inboxes(3);
    let (_, bytes) = rung(&keys[2..]);
    assert!(answer(&bytes, &keys, &NETWORK).unwrap().is_some());
    assert_eq!(answer(&bytes, &keys, &OTHER_NETWORK), Ok(None));
}

#[test]
fn what_cannot_be_rung_is_said() {
    let person = Person::new(1);
    let keys = publics(&inboxes(9));
    let content = content(&person, &person.device, "x");
    let ring = |recipients: &[[u8; 32]], key: &InstallationKey| {
        ring(&mut rng(7), &NETWORK, recipients, &content, key).unwrap_err()
    };
    assert_eq!(ring(&[], &person.device), DoorbellError::Recipients(0));
    assert_eq!(ring(&keys, &person.device), DoorbellError::Recipients(9));
    assert_eq!(ring(&[keys[0], keys[1], keys[0]], &person.device), DoorbellError::Twice);
    // A point of small order gives a shared secret of zeros.
    assert_eq!(ring(&[[0; 32]], &person.device), DoorbellError::InboxKey);
    assert_eq!(ring(&keys[..1], &Person::new(2).device), DoorbellError::OtherKey);
}

#[test]
fn names_are_cut_where_characters_end() {
    let person = Person::new(1);
    let keys = inboxes(1);
    let long = "é".repeat(MAX_NAME);
    let content = content(&person, &person.device, &long);
    let bytes = ring(&mut rng(7), &NETWORK, &publics(&keys), &content, &person.device).unwrap();
    let doorbell = answer(&bytes, &keys, &NETWORK).unwrap().unwrap();
    assert_eq!(name_of(&doorbell), "é".repeat(MAX_NAME / 2));
}

#[test]
fn long_chains_shorten_the_name_first() {
    let mut person = Person::new(1);
    let keys = inboxes(1);
    let name = "n".repeat(MAX_NAME);
    let mut key = InstallationKey::from_bytes(person.device.to_bytes());
    let mut names = vec![];
    for seed in 2..20 {
        let content = content(&person, &key, &name);
        match ring(&mut rng(7), &NETWORK, &publics(&keys), &content, &key) {
            Ok(bytes) => {
                assert_eq!(bytes.len(), DOORBELL_BODY_LEN);
                let doorbell = answer(&bytes, &keys, &NETWORK).unwrap().unwrap();
                names.push(name_of(&doorbell).len());
            }
            Err(error) => {
                assert!(matches!(error, DoorbellError::TooLarge(_)), "{error}");
                break;
            }
        }
        let by = InstallationKey::from_bytes(key.to_bytes());
        key = person.link(EntrySigner::Installation(&by), seed);
    }
    assert!(names.len() >= 6, "{names:?}");
    assert_eq!(names[..5], [MAX_NAME; 5]);
}

/// Opens a doorbell as its recipient and hands the signed content on to someone else.
#[test]
fn a_recipient_cannot_hand_it_on() {
    let keys = inboxes(2);
    let (recipient, victim) = (&keys[..1], &keys[1..]);
    let (person, bytes) = rung(recipient);
    let (wraps, sealed) = bytes.split_at(WRAPS);
    let content_key = unwrap_key(wraps, recipient, &wrap_info(&NETWORK, sealed)).unwrap();
    let plain = cipher(&content_key)
        .decrypt(&Nonce::default(), Payload { msg: sealed, aad: &body_aad(&NETWORK) })
        .unwrap();
    // The victim's wrap in the place of the recipient's: the victim can open it, but the signature
    // is over other encapsulated keys.
    let info = wrap_info(&NETWORK, sealed);
    for place in 0..DOORBELL_WRAPS {
        let seed = [9; 32];
        let (_, public) = X25519HkdfSha256::derive_keypair(&seed);
        let enc: [u8; 32] = public.to_bytes().into();
        let wrapped = wrap(&victim[0].public(), &seed, &enc, &info, &content_key).unwrap();
        let mut forged = bytes.clone();
        let at = place * (ENC + WRAPPED);
        forged[at..at + ENC].copy_from_slice(&enc);
        forged[at + ENC..at + ENC + WRAPPED].copy_from_slice(&wrapped);
        assert_eq!(
            answer(&forged, victim, &NETWORK),
            Err(DoorbellError::Signature(SignatureError::Signature))
        );
    }
    // Nor under its own name: the signature is not by its key.
    let thief = Person::new(2);
    let stolen = WireSigned::decode(
        &plain[4..4 + u32::from_be_bytes(plain[..4].try_into().unwrap()) as usize],
    )
    .unwrap();
    let mut inner = WireContent::decode(stolen.content.as_slice()).unwrap();
    inner.credential =
        Credential::for_installation(&thief.log, &thief.device.id()).unwrap().encode();
    let swapped =
        WireSigned { content: inner.encode_to_vec(), signature: stolen.signature.clone() };
    let mut plain = (swapped.encoded_len() as u32).to_be_bytes().to_vec();
    plain.extend(swapped.encode_to_vec());
    let encs: Vec<u8> = wraps.chunks(ENC + WRAPPED).flat_map(|w| w[..ENC].to_vec()).collect();
    assert!(matches!(read(&plain, &encs, &NETWORK), Err(DoorbellError::Signature(_))));
    assert_ne!(thief.account.id(), person.account.id());
}

#[test]
fn what_is_inside_is_checked() {
    let person = Person::new(1);
    let encs = [3; DOORBELL_WRAPS * ENC];
    let credential =
        Credential::for_installation(&person.log, &person.device.id()).unwrap().encode();
    let open = |content: WireContent, tail: &[u8]| {
        let content = content.encode_to_vec();
        let parts: [&[u8]; 2] = [&content, &encs];
        let signature = person.device.sign(Label::DoorbellSignature, &NETWORK, &parts).to_vec();
        let signed = WireSigned { content: content.clone(), signature }.encode_to_vec();
        let mut plain = (signed.len() as u32).to_be_bytes().to_vec();
        plain.extend(signed);
        plain.extend(tail);
        read(&plain, &encs, &NETWORK)
    };
    let good = WireOffer { secret: vec![1; 32], slot: 1, group_name: "g".into() };
    let with = |invitation| WireContent { credential: credential.clone(), invitation };
    assert!(open(with(Some(good.clone())), &[0; 9]).is_ok());
    assert_eq!(open(with(Some(good.clone())), &[0, 1]), Err(DoorbellError::Malformed("padding")));
    assert_eq!(open(with(None), &[]), Err(DoorbellError::UnknownPurpose));
    let mut short = good.clone();
    short.secret.pop();
    assert_eq!(open(with(Some(short)), &[]), Err(DoorbellError::Malformed("secret")));
    let mut long = good.clone();
    long.group_name = "n".repeat(MAX_NAME + 1);
    assert_eq!(open(with(Some(long)), &[]), Err(DoorbellError::Malformed("name")));
    let no_credential = WireContent { credential: vec![], invitation: Some(good) };
    assert!(matches!(open(no_credential, &[]), Err(DoorbellError::Credential(_))));
    for plain in [&[][..], &[0, 0, 0], &[0, 0, 0, 9, 1], &[255; 40]] {
        assert!(matches!(read(plain, &encs, &NETWORK), Err(DoorbellError::Malformed(_))));
    }
}

#[test]
fn decoys_look_like_wraps() {
    // Bit 255 of a real key is always zero; over many doorbells so it is in every wrap.
    let keys = inboxes(1);
    let person = Person::new(1);
    let content = content(&person, &person.device, "x");
    let mut places = [0; DOORBELL_WRAPS];
    for seed in 0..64 {
        let bytes =
            ring(&mut rng(seed), &NETWORK, &publics(&keys), &content, &person.device).unwrap();
        let (wraps, sealed) = bytes.split_at(WRAPS);
        let info = wrap_info(&NETWORK, sealed);
        for (i, wrap) in wraps.chunks(ENC + WRAPPED).enumerate() {
            assert_eq!(wrap[31] & 0x80, 0);
            places[i] += usize::from(unwrap_key(wrap, &keys, &info).is_some());
        }
    }
    assert_eq!(places.iter().sum::<usize>(), 64);
    assert!(places.iter().all(|n| *n > 0), "the order is shuffled: {places:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), DOORBELL_BODY_LEN)) {
        prop_assert_eq!(answer(&bytes, &inboxes(1), &NETWORK), Ok(None));
        prop_assert_eq!(answer(&bytes[1..], &[], &NETWORK), Err(DoorbellError::Length(DOORBELL_BODY_LEN - 1)));
        let parsed = read(&bytes, &bytes[..DOORBELL_WRAPS * ENC], &NETWORK);
        prop_assert!(parsed.is_err());
    }

    #[test]
    fn a_changed_bit_is_found(at: usize, bit in 0u8..8) {
        let keys = inboxes(1);
        let (_, bytes) = rung(&keys);
        let at = at % bytes.len();
        match answer(&flip(&bytes, at, bit), &keys, &NETWORK) {
            Ok(None) | Err(DoorbellError::Signature(_)) => {}
            // The text of a wrap for someone else is no business of ours.
            Ok(Some(_)) => prop_assert!(at < WRAPS && at % (ENC + WRAPPED) >= ENC),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}

#[test]
fn its_frame_makes_an_envelope_of_the_one_size() {
    use crate::wire::envelope::class_for;
    use crate::wire::frame::{Frame, FrameKind};
    let (_, bytes) = rung(&inboxes(3));
    let frame = Frame::new(FrameKind::Doorbell, bytes).encode();
    assert!(frame.len() <= DOORBELL_BODY_LEN + FRAME_ALLOWANCE, "{}", frame.len());
    assert_eq!(class_for(frame.len()), Ok(DOORBELL_SIZE));
}
