//! A sequence of inputs against one machine with a peer: as the property test of chat-core, from
//! the same bytes.
#![no_main]

#[path = "../../chat-core/tests/machine_input/harness.rs"]
mod harness;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    harness::Harness::new().run(data);
});
