//! The libwaku backend passes the conformance suite, with relay and at the edge of the network:
//! nodes of the C library, and real connections, on loopback. What is particular to it is tested
//! beside that.
//!
//! The library is what `LIBWAKU_PATH` names, a real libwaku.so; else `waku-node-capi`, our own node
//! behind the same interface, which is built if need be. If there is neither, tests say that they
//! were skipped, and why, where nothing hides it.

mod attach;
mod confirm;
mod cure;
mod edge;
mod endpoints;
// What it counts is for the other backend's tests.
#[allow(dead_code)]
#[path = "../embedded/fake_store.rs"]
mod fake_store;
mod harness;
mod library;
mod nodes;
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

/// All of the suite, on nodes with filter and lightpush. What cannot hold for them is what the
/// harness says it is: they watch fewer topics, and know of no others.
mod edge_conformance {
    use crate::harness::LibwakuHarness;

    waku_transport::conformance_tests!(match LibwakuHarness::edge().await {
        Some(harness) => harness,
        None => return,
    });
}
