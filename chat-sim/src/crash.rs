//! Processes that die: where they die, as a test plans it.

/// Where a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// In the transaction of a step: the first from `step` on that writes more than `writes` times,
    /// the commit counted as a write.
    InTransaction {
        /// Steps before.
        step: u64,
        /// Writes before.
        writes: u64,
    },
    /// After the transaction of a step, whatever the step did, before any of its outputs was carried
    /// out.
    AfterStep {
        /// Steps before.
        step: u64,
    },
    /// After the transaction of a step that tells something, before any of its outputs was carried
    /// out.
    BeforeOutputs {
        /// Steps that tell something before.
        telling: u64,
    },
    /// After the outputs of a step were carried out up to its first publication, and some more, so
    /// that nobody is told what became of the publication.
    AfterPublishing {
        /// Steps that publish before.
        publishing: u64,
        /// Outputs after the publication that are carried out as well.
        more: u64,
    },
}

/// The death of a process that a test planned.
#[derive(Debug, Clone, Copy)]
pub struct Crash {
    /// The number of the device.
    pub device: usize,
    /// Where it dies.
    pub point: CrashPoint,
}

/// The kind of an output, as far as it matters for where a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It publishes.
    Publishes,
    /// It answers, or tells an event.
    Tells,
    /// Anything else.
    Other,
}

/// How often a machine stepped, since a test began to count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Steps that succeeded.
    pub steps: u64,
    /// Those that answered, told an event or published.
    pub telling: u64,
    /// Those that published.
    pub publishing: u64,
}

fn tells(kinds: &[Kind]) -> bool {
    kinds.iter().any(|kind| *kind != Kind::Other)
}

impl Tally {
    /// Counts a step with these outputs.
    pub(crate) fn count(&mut self, kinds: &[Kind]) {
        self.steps += 1;
        self.telling += u64::from(tells(kinds));
        self.publishing += u64::from(kinds.contains(&Kind::Publishes));
    }
}

impl Crash {
    /// The writes that the next step of a device may make before its database fails; none: as many
    /// as it likes.
    pub(crate) fn writes_before(&self, device: usize, tally: &Tally) -> Option<u64> {
        match self.point {
            CrashPoint::InTransaction { step, writes }
                if device == self.device && tally.steps >= step =>
            {
                Some(writes)
            }
            _ => None,
        }
    }

    /// How many outputs of a step are carried out before the process dies; none: it lives on. The
    /// tally has this step in it.
    pub(crate) fn spares(&self, device: usize, tally: &Tally, kinds: &[Kind]) -> Option<usize> {
        if device != self.device {
            return None;
        }
        match self.point {
            CrashPoint::InTransaction { .. } => None,
            CrashPoint::AfterStep { step } => (tally.steps > step).then_some(0),
            CrashPoint::BeforeOutputs { telling } => {
                (tally.telling > telling && tells(kinds)).then_some(0)
            }
            CrashPoint::AfterPublishing { publishing, more } => {
                let first = kinds.iter().position(|kind| *kind == Kind::Publishes)?;
                (tally.publishing > publishing).then_some(first + 1 + more as usize)
            }
        }
    }
}
