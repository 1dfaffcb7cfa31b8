//! Payloads from the network, opened with a key that is known.
#![no_main]

use chat_core::params::NetworkParams;
use chat_core::time::{Slot, Timestamp};
use chat_core::wire::envelope::{EnvelopeKey, SizeClass, check_timestamp, open, seal};
use chat_core::wire::roots::{Root, Roots};
use chat_core::wire::topic::ContentTopic;
use libfuzzer_sys::fuzz_target;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

fuzz_target!(|data: &[u8]| {
    let params = NetworkParams::fast();
    let network = params.id();
    let now = Timestamp::from_secs(1_800_000_000);
    let slot = Slot::at(now, params.slot_secs);
    let roots = Roots { topic: Root::new(slot, [1; 32]), seal: Root::new(slot, [2; 32]) };
    let key = EnvelopeKey::derive(&roots.seal, &network);
    let topic = ContentTopic::derive(&roots.topic, 0, &network);

    // Nobody without the key makes one that opens. Padded to a class, it gets as far as the seal.
    assert!(open(&key, &topic, data).is_err());
    let mut payload = data.to_vec();
    payload.resize(data.len().next_power_of_two().clamp(512, 128 * 1024), 0);
    assert!(open(&key, &topic, &payload).is_err());

    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let Ok(sealed) = seal(&mut rng, &roots, 0, data, SizeClass::Fit, now, &params) else {
        return;
    };
    assert_eq!(open(&key, &topic, &sealed.payload).as_deref(), Ok(data));
    assert!(check_timestamp(sealed.timestamp, slot, params.slot_secs).is_ok());
    // One bit, chosen by the data, breaks it.
    let mut damaged = sealed.payload;
    let sum = data.iter().fold(data.len(), |sum, byte| sum.wrapping_mul(31) + usize::from(*byte));
    let at = sum % (damaged.len() * 8);
    damaged[at / 8] ^= 1 << (at % 8);
    assert!(open(&key, &topic, &damaged).is_err());
});
