//! What libwaku serves and this node does not.

use super::keys::Keys;

/// The cluster whose messages need RLN proofs: The Waku Network.
const RLN_CLUSTER: u32 = 1;

/// Refuses what the host must not believe to be in force, and warns about the rest.
pub(super) fn refuse_what_is_not_served(
    keys: &Keys,
    cluster: u32,
    relay: bool,
) -> Result<(), String> {
    let preset = keys.text("preset").unwrap_or_default().to_ascii_lowercase();
    if keys.flag("rlnRelay", false)? || preset == "twn" || (relay && cluster == RLN_CLUSTER) {
        return Err("configuration: RLN is not served by this node, so it cannot relay in a \
                    network that needs it"
            .into());
    }
    if !preset.is_empty() {
        return Err("configuration: presets are not served by this node; give clusterId, shards \
                    and staticnodes"
            .into());
    }
    if keys.is_filled("protectedShards") {
        return Err("configuration: protected shards are not served by this node".into());
    }
    let ignored = ["discv5Discovery", "dnsDiscovery", "websocketSecureSupport", "storeSync"];
    for key in ignored {
        if keys.flag(key, false)? {
            tracing::warn!(key, "this node does not serve this and ignores the key");
        }
    }
    Ok(())
}
