//! Bounds of the services that a node offers.

use std::path::PathBuf;
use std::time::Duration;

use waku_node::{FilterConfig, StoreConfig};

use super::keys::Keys;

pub(super) fn filter(keys: &Keys) -> Result<FilterConfig, String> {
    let mut filter = FilterConfig::default();
    if let Some(peers) = keys.parse("filterMaxPeersToServe", "a number")? {
        filter.max_peers = peers;
    }
    if let Some(criteria) = keys.parse("filterMaxCriteria", "a number")? {
        filter.max_criteria_per_peer = criteria;
    }
    if let Some(seconds) = keys.parse("filterSubscriptionTimeout", "a number of seconds")? {
        filter.subscription_timeout = Duration::from_secs(seconds);
    }
    Ok(filter)
}

pub(super) fn store(keys: &Keys) -> Result<Option<StoreConfig>, String> {
    if !keys.flag("store", false)? {
        return Ok(None);
    }
    let url = keys.text("storeMessageDbUrl").unwrap_or_else(|| "sqlite://store.sqlite3".into());
    let path = match url.strip_prefix("sqlite://") {
        _ if url.is_empty() => None,
        Some("" | ":memory:") => None,
        Some(path) => Some(PathBuf::from(path)),
        None => {
            return Err("configuration: storeMessageDbUrl must begin with sqlite://; no other \
                        database is served by this node"
                .into());
        }
    };
    let mut store = StoreConfig { path, ..StoreConfig::default() };
    if let Some(policy) = keys.text("storeMessageRetentionPolicy") {
        retain(&mut store, &policy).ok_or(
            "configuration: storeMessageRetentionPolicy must be time:<seconds>, \
             capacity:<messages>, size:<number>MB or size:<number>GB, joined by ;, or none",
        )?;
    }
    Ok(Some(store))
}

/// Applies a retention policy. Bounds that it does not name stay as they are; `none` lifts all of them.
fn retain(store: &mut StoreConfig, policy: &str) -> Option<()> {
    if policy.trim() == "none" {
        store.retention = Duration::MAX;
        // What SQLite counts with is signed.
        (store.max_messages, store.max_bytes) = (i64::MAX as u64, i64::MAX as u64);
        return Some(());
    }
    for part in policy.split(';').map(str::trim).filter(|p| !p.is_empty()) {
        match part.split_once(':')? {
            ("time", seconds) => store.retention = Duration::from_secs(seconds.parse().ok()?),
            ("capacity", messages) => store.max_messages = messages.parse().ok()?,
            ("size", size) => {
                let size = size.to_ascii_lowercase();
                let (number, unit) = match (size.strip_suffix("gb"), size.strip_suffix("mb")) {
                    (Some(n), _) => (n, 1u64 << 30),
                    (_, Some(n)) => (n, 1u64 << 20),
                    _ => return None,
                };
                let bytes = number.trim().parse::<f64>().ok().filter(|n| *n > 0.0)? * unit as f64;
                store.max_bytes = (bytes as u64).max(StoreConfig::MIN_BYTES);
            }
            _ => return None,
        }
    }
    Some(())
}
