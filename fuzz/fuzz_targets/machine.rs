//! A sequence of inputs against one machine with a peer: as the property test of chat-sim, from
//! the same bytes.
#![no_main]

use chat_sim::fuzz::Harness;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    Harness::new().run(data);
});
