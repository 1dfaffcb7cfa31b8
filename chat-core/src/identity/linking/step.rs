//! The steps of a linking: which messages there are, and who sends each.

use serde::{Deserialize, Serialize};

/// The place of a message in a linking, which also tells who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Step {
    /// The grantor answers the code: [`LinkingAnswer`](super::LinkingAnswer).
    Answer = 1,
    /// The newcomer introduces itself: [`Introduction`](super::Introduction).
    Introduction = 2,
    /// The grantor reveals its nonce: [`Reveal`](super::Reveal).
    Reveal = 3,
    /// The grantor hands over the log and the card secret: [`Grant`](super::Grant).
    Grant = 4,
    /// The newcomer offers its key package: [`Arrival`](super::Arrival).
    Arrival = 5,
    /// The grantor invites the newcomer into the self group: [`Admission`](super::Admission).
    Admission = 6,
    /// The newcomer is in the self group. This message is empty.
    Done = 7,
    /// The grantor ends the linking early: [`Ending`](super::Ending).
    EndByGrantor = 8,
    /// The newcomer ends the linking early: [`Ending`](super::Ending).
    EndByNewcomer = 9,
}

impl Step {
    /// Every step, for tests and test vectors.
    pub const ALL: [Step; 9] = [
        Step::Answer,
        Step::Introduction,
        Step::Reveal,
        Step::Grant,
        Step::Arrival,
        Step::Admission,
        Step::Done,
        Step::EndByGrantor,
        Step::EndByNewcomer,
    ];

    /// Whether the grantor sends this message; otherwise the newcomer does.
    pub fn by_grantor(self) -> bool {
        matches!(self, Step::Answer | Step::Reveal | Step::Grant | Step::Admission)
            || self == Step::EndByGrantor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_one_speaker() {
        let by_grantor = Step::ALL.map(Step::by_grantor);
        assert_eq!(by_grantor, [true, false, true, true, false, true, false, true, false]);
    }
}
