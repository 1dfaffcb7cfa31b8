//! What the tests of linking begin with and look at.

use std::time::Duration;

use chat_core::identity::linking::{
    EndCode, LinkingAnswer, LinkingCode, LinkingCodeError, LinkingKey, Step, commitment, seal,
};
use chat_core::ids::LinkingId;
use chat_core::machine::{
    CommandError, Event, LinkingState, LinkingView, NewcomerState, NewcomerView,
};
use chat_core::params::NetworkParams;
use chat_core::time::Slot;
use chat_core::wire::envelope::{EnvelopeKey, SizeClass, open, seal as seal_envelope};
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::topic::ContentTopic;
use chat_sim::scenario::{Installation, Scenario};
use chat_sim::world::Observed;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// An outsider, who has no device.
pub(crate) const NOBODY: usize = usize::MAX;
pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) const ENDED: fn(EndCode, bool) -> NewcomerState =
    |code, by_other| NewcomerState::Ended { code, by_other };
pub(crate) const OVER: fn(EndCode, bool) -> LinkingState =
    |code, by_other| LinkingState::Ended { code, by_other };

/// With slots of five seconds.
pub(crate) fn fast() -> Scenario {
    scenario(NetworkParams::fast())
}

/// With slots of an hour, where much time passes.
pub(crate) fn slow() -> Scenario {
    scenario(NetworkParams::public())
}

fn scenario(params: NetworkParams) -> Scenario {
    let scenario = Scenario::on(params, 1);
    // As at many relays, a device hears itself too.
    scenario.world().network.echo = true;
    scenario
}

/// A phone with an account and a tablet that shows its code.
pub(crate) fn two() -> (Scenario, Installation, Installation) {
    two_in(fast())
}

pub(crate) fn two_in(scenario: Scenario) -> (Scenario, Installation, Installation) {
    let phone = scenario.person("Ada").phone;
    let tablet = scenario.newcomer("Ada's tablet");
    scenario.deliver();
    (scenario, phone, tablet)
}

/// The same, when the string is shown; the linking's id.
pub(crate) fn at_the_string() -> (Scenario, Installation, Installation, LinkingId) {
    at_the_string_in(fast())
}

pub(crate) fn at_the_string_in(
    scenario: Scenario,
) -> (Scenario, Installation, Installation, LinkingId) {
    let (scenario, phone, tablet) = two_in(scenario);
    let id = phone.answer_linking(&code_on(&tablet)).id;
    assert_eq!(state_at(&phone, &id), LinkingState::AwaitsString);
    assert_eq!(shown_by(&tablet).state, NewcomerState::ShowsString);
    (scenario, phone, tablet, id)
}

/// The code that a new device shows.
pub(crate) fn code_on(new: &Installation) -> String {
    new.linking_code().unwrap()
}

/// What a new device shows of its linking, before it has an account and after.
pub(crate) fn shown_by(new: &Installation) -> NewcomerView {
    new.arrival().unwrap()
}

/// What an old device shows of a linking.
pub(crate) fn linking_at(old: &Installation, id: &LinkingId) -> LinkingView {
    old.linking(id).unwrap()
}

pub(crate) fn state_at(old: &Installation, id: &LinkingId) -> LinkingState {
    linking_at(old, id).state
}

/// What a user does who sees both screens, as often as is needed.
pub(crate) fn link_by_hand(scenario: &Scenario, old: &Installation, new: &Installation) {
    for _ in 0..60 {
        scenario.pass(SECOND);
        for device in [old, new] {
            if !device.is_up() {
                device.start();
            }
        }
        let done = scenario.world().attend(old.number(), new.number());
        if done {
            return;
        }
        scenario.deliver();
    }
    panic!("not linked: {:?}", shown_by(new));
}

/// How many installations a device's account has, as it knows.
pub(crate) fn installations(device: &Installation) -> usize {
    device.installations().iter().filter(|it| it.revoked.is_none()).count()
}

pub(crate) fn string(tablet: &Installation) -> String {
    shown_by(tablet).string.unwrap()
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

pub(crate) fn last_event(device: &Installation) -> Event {
    device.events().last().unwrap().clone()
}

pub(crate) fn code_of(scenario: &Scenario, text: &str) -> LinkingCode {
    LinkingCode::parse(text, &scenario.world().params.id()).unwrap()
}

/// What can be read of an envelope with the code.
pub(crate) fn frame_of(
    scenario: &Scenario,
    code: &LinkingCode,
    message: &Observed,
) -> Option<Frame> {
    let world = scenario.world();
    let network = world.params.id();
    let slot = Slot((message.timestamp_ns as u64) / 1_000_000_000 / world.params.slot_secs);
    let roots = code.roots(world.params.slot_secs, &network).at(slot, &network).ok()?;
    let topic = ContentTopic::parse(&message.topic).ok()?;
    let key = EnvelopeKey::derive(&roots.seal, &network);
    Frame::decode(&open(&key, &topic, &message.payload).ok()?).ok()
}

/// Puts a body at the meeting place, which takes nothing but the code.
pub(crate) fn write(scenario: &Scenario, code: &LinkingCode, body: Vec<u8>) {
    let message = {
        let mut world = scenario.world();
        let (now, params) = (world.now(), world.params.clone());
        let network = params.id();
        let slot = Slot::at(now, params.slot_secs);
        let roots = code.roots(params.slot_secs, &network).at(slot, &network).unwrap();
        let frame = Frame::new(FrameKind::Linking, body).encode();
        let class = SizeClass::Fit;
        let rng = world.rng();
        let envelope = seal_envelope(rng, &roots, 0, &frame, class, now, &params).unwrap();
        Observed {
            topic: envelope.topic.to_string(),
            payload: envelope.payload,
            timestamp_ns: i64::try_from(envelope.timestamp.0).unwrap() * 1_000_000,
            seen_at: now,
            by: NOBODY,
        }
    };
    scenario.publish(message);
}

/// An answer to a code that does not come from the phone.
pub(crate) fn foreign_answer(scenario: &Scenario, code: &LinkingCode) -> (LinkingKey, Vec<u8>) {
    let network = scenario.world().params.id();
    let mut rng = ChaCha20Rng::from_seed(scenario.world().seed());
    let key = LinkingKey::generate(&mut rng);
    let answer = LinkingAnswer {
        key: key.public(),
        account: chat_core::ids::AccountId([9; 32]),
        installation: chat_core::ids::InstallationId([8; 32]),
        commitment: commitment(&[7; 32], &network),
    };
    let begin = code.transcript(&network);
    let body =
        seal(&mut rng, code.key(), Step::Answer, &begin, &answer.encode(), &network).unwrap();
    (key, body)
}

/// Why a code cannot be used.
pub(crate) fn refused(phone: &Installation, code: &str) -> LinkingCodeError {
    match phone.refusal(|it| it.answer_linking(code)) {
        CommandError::BadLinkingCode { why } => why,
        other => panic!("{other:?}"),
    }
}
