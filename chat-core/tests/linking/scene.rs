//! What the tests of linking begin with and look at.

use chat_core::identity::linking::{
    EndCode, LinkAnswer, LinkingCode, LinkingCodeError, LinkingKey, Step, Transcript, commitment,
    seal,
};
use chat_core::ids::LinkingId;
use chat_core::machine::{CommandError, Event, Inbound, LinkState, NewcomerState};
use chat_core::time::Slot;
use chat_core::wire::envelope::{EnvelopeKey, SizeClass, open, seal as seal_envelope};
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::topic::ContentTopic;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::world::World;

pub(crate) const ENDED: fn(EndCode, bool) -> NewcomerState =
    |code, by_other| NewcomerState::Ended { code, by_other };
pub(crate) const OVER: fn(EndCode, bool) -> LinkState =
    |code, by_other| LinkState::Ended { code, by_other };

/// A phone with an account and a tablet that shows its code.
pub(crate) fn two() -> (World, usize, usize) {
    two_in(World::new())
}

pub(crate) fn two_in(mut world: World) -> (World, usize, usize) {
    let phone = world.account();
    let tablet = world.newcomer("Ada's tablet");
    world.settle();
    (world, phone, tablet)
}

/// The same, when the string is shown; the linking's id.
pub(crate) fn at_the_string() -> (World, usize, usize, LinkingId) {
    at_the_string_in(World::new())
}

pub(crate) fn at_the_string_in(world: World) -> (World, usize, usize, LinkingId) {
    let (mut world, phone, tablet) = two_in(world);
    let id = world.answer(phone, &world.code(tablet)).unwrap().id;
    assert_eq!(world.link(phone, &id).state, LinkState::AwaitsString);
    assert_eq!(world.view(tablet).state, NewcomerState::ShowsString);
    (world, phone, tablet, id)
}

/// How many installations a device's account has, as it knows.
pub(crate) fn installations(world: &World, at: usize) -> usize {
    let all = world.machine(at).installations().unwrap();
    all.iter().filter(|it| it.revoked.is_none()).count()
}

pub(crate) fn string(world: &World, tablet: usize) -> String {
    world.view(tablet).string.unwrap()
}

/// A string that could be one, and is not this.
pub(crate) fn another(string: &str) -> String {
    let digits: Vec<u32> = string.chars().filter_map(|c| c.to_digit(10)).collect();
    (0..1000)
        .map(|n| {
            let eight: String = digits[..5].iter().map(ToString::to_string).collect();
            format!("{eight}{n:04}")
        })
        .find(|other| {
            let same = other.chars().eq(string.chars().filter(|c| *c != ' '));
            !same && chat_core::identity::linking::LinkingString::parse(other).is_ok()
        })
        .unwrap()
}

pub(crate) fn last_event(world: &World, at: usize) -> Event {
    world.events(at).last().unwrap().clone()
}

pub(crate) fn code_of(world: &World, text: &str) -> LinkingCode {
    LinkingCode::parse(text, &world.params.id()).unwrap()
}

/// What somebody who knows the code reads of an envelope.
pub(crate) fn frame_of(world: &World, code: &LinkingCode, message: &Inbound) -> Option<Frame> {
    let network = world.params.id();
    let slot = Slot((message.timestamp_ns as u64) / 1_000_000_000 / world.params.slot_secs);
    let roots = code.roots(world.params.slot_secs, &network).at(slot, &network).ok()?;
    let topic = ContentTopic::parse(&message.topic).ok()?;
    let key = EnvelopeKey::derive(&roots.seal, &network);
    Frame::decode(&open(&key, &topic, &message.payload).ok()?).ok()
}

/// Puts a body at the meeting place, as somebody who knows the code can.
pub(crate) fn write(world: &mut World, code: &LinkingCode, body: Vec<u8>) -> Inbound {
    let network = world.params.id();
    let slot = Slot::at(world.now, world.params.slot_secs);
    let roots = code.roots(world.params.slot_secs, &network).at(slot, &network).unwrap();
    let mut rng = ChaCha20Rng::from_seed(world.seed());
    let frame = Frame::new(FrameKind::Linking, body).encode();
    let class = SizeClass::Fit;
    let envelope =
        seal_envelope(&mut rng, &roots, 0, &frame, class, world.now, &world.params).unwrap();
    let timestamp_ns = i64::try_from(envelope.timestamp.0).unwrap() * 1_000_000;
    let topic = envelope.topic.to_string();
    let message = Inbound { topic, payload: envelope.payload.into(), timestamp_ns };
    world.publish(usize::MAX, message.clone());
    message
}

/// An answer to a code by somebody else than the phone.
pub(crate) fn foreign_answer(world: &mut World, code: &LinkingCode) -> (LinkingKey, Vec<u8>) {
    let network = world.params.id();
    let mut rng = ChaCha20Rng::from_seed(world.seed());
    let key = LinkingKey::generate(&mut rng);
    let answer = LinkAnswer {
        key: key.public(),
        account: chat_core::ids::AccountId([9; 32]),
        installation: chat_core::ids::InstallationId([8; 32]),
        commitment: commitment(&[7; 32], &network),
    };
    let begin = Transcript::begin(code, &network);
    let body =
        seal(&mut rng, code.key(), Step::Answer, &begin, &answer.encode(), &network).unwrap();
    (key, body)
}

pub(crate) fn refused(world: &mut World, phone: usize, code: &str) -> LinkingCodeError {
    match world.answer(phone, code) {
        Err(CommandError::BadLinkingCode { why }) => why,
        other => panic!("{other:?}"),
    }
}
