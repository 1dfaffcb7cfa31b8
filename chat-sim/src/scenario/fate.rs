//! What happens to an installation: its connection, its clock, its process.

use super::handle::Installation;
use crate::crash::{Crash, CrashPoint};

/// What happens to it.
impl Installation {
    /// Takes its connection.
    pub fn offline(&self) {
        self.shared.world_mut().set_online(self.number(), false);
    }

    /// Gives it its connection.
    pub fn online(&self) {
        self.shared.world_mut().set_online(self.number(), true);
    }

    /// Takes its connection and gives it back, so that it fetches what it missed.
    pub fn reconnect(&self) {
        self.shared.world_mut().reconnect(self.number());
    }

    /// Puts it into a partition of the network; all begin in partition 0.
    pub fn part(&self, partition: u32) {
        self.shared.world_mut().part(self.number(), partition);
    }

    /// Sets its clock ahead, or behind where that is less than zero.
    pub fn set_clock_ahead(&self, milliseconds: i64) {
        self.shared.world_mut().devices[self.number()].clock_ahead_ms = milliseconds;
    }

    /// Ends its process; its database stays.
    pub fn stop(&self) {
        self.shared.world_mut().stop(self.number());
    }

    /// Starts its process again, online.
    pub fn start(&self) {
        self.shared.world_mut().start(self.number());
    }

    /// Ends its process and starts it again.
    pub fn restart(&self) {
        self.stop();
        self.start();
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        self.shared.world().is_up(self.number())
    }

    /// Plans the death of its process, in place of any other death that was planned.
    pub fn crash_at(&self, point: CrashPoint) {
        self.shared.world_mut().crash = Some(Crash { device: self.number(), point });
    }
}
