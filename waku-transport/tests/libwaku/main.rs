//! The libwaku backend passes the conformance suite, with relay and at the edge of the network:
//! nodes of the C library, and real connections, on loopback. What is particular to it is tested
//! beside that.
//!
//! The library is the one that `LIBWAKU_PATH` names, such as a real libwaku.so, or else
//! `waku-node-capi`, our own node behind the same interface, which is built if need be. If there is
//! neither, each test says on standard error that it was skipped, and why.

mod attach;
mod confirm;
mod cure;
mod edge;
mod endpoints;
// Its counters are for the other backend's tests.
#[allow(dead_code)]
#[path = "../embedded/fake_store.rs"]
mod fake_store;
mod harness;
mod library;
mod nodes;
mod outage;
mod owned;
#[path = "../embedded/proxy.rs"]
mod proxy;

pub(crate) const CLUSTER: u32 = 66;
pub(crate) const SHARD: &str = "/waku/2/rs/66/0";

/// All of the suite, on nodes that relay.
mod relay_conformance {
    use crate::harness::LibwakuHarness;

    waku_transport::conformance_tests!(match LibwakuHarness::relay().await {
        Some(harness) => harness,
        None => return,
    });
}

/// All of the suite, on nodes with filter and lightpush. The harness says what is different about
/// them: they watch fewer topics, and do not see other messages.
mod edge_conformance {
    use crate::harness::LibwakuHarness;

    waku_transport::conformance_tests!(match LibwakuHarness::edge().await {
        Some(harness) => harness,
        None => return,
    });
}
