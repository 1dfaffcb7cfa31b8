//! Notices a mesh that stays empty.

use std::time::Duration;

use tokio::time::Instant;

/// Longest patience with an empty mesh.
const MAX_MESH_PATIENCE: Duration = Duration::from_secs(600);

/// Notices a mesh that stays empty although there are peers for it.
#[derive(Debug)]
pub(super) struct MeshWatch {
    base: Duration,
    patience: Duration,
    empty_since: Option<Instant>,
}

impl MeshWatch {
    pub(super) fn new(patience: Duration) -> Self {
        Self { base: patience, patience, empty_since: None }
    }

    /// Notes the number of peers on the shard and of those in its mesh. Returns whether it is time to
    /// make connections anew.
    pub(super) fn observe(&mut self, carriers: usize, in_mesh: usize, now: Instant) -> bool {
        if in_mesh > 0 {
            (self.patience, self.empty_since) = (self.base, None);
            return false;
        }
        if carriers == 0 {
            self.empty_since = None;
            return false;
        }
        let since = *self.empty_since.get_or_insert(now);
        if now.duration_since(since) < self.patience {
            return false;
        }
        // A peer may have reasons to keep this node out of its mesh.
        self.patience = (self.patience * 2).min(MAX_MESH_PATIENCE.max(self.base));
        self.empty_since = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_mesh_is_cured_ever_more_patiently() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watch = MeshWatch::new(Duration::from_secs(10));
        // No peer is there, or one is in the mesh: nothing to cure.
        assert!(!watch.observe(0, 0, at(0)) && !watch.observe(0, 0, at(100)));
        assert!(!watch.observe(2, 1, at(101)) && !watch.observe(2, 1, at(200)));
        assert!(!watch.observe(2, 0, at(200)) && !watch.observe(2, 0, at(209)));
        assert!(watch.observe(2, 0, at(210)));
        // Connections are made anew in between.
        assert!(!watch.observe(0, 0, at(211)));
        assert!(!watch.observe(1, 0, at(212)) && !watch.observe(1, 0, at(231)));
        assert!(watch.observe(1, 0, at(232)));
        // It has helped.
        assert!(!watch.observe(1, 1, at(240)));
        assert!(!watch.observe(1, 0, at(241)) && watch.observe(1, 0, at(251)));
    }
}
