//! The message that ends a linking early.

use prost::Message as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::MessageError;
use super::transcript::Transcript;

/// The reason that one side gives the other for ending a linking.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[repr(u32)]
#[serde(rename_all = "snake_case")]
pub enum EndCode {
    /// The user cancelled it.
    Cancelled = 1,
    /// The string that was typed is not the one that the newcomer shows.
    WrongString = 2,
    /// The code was answered twice, differently.
    AnsweredTwice = 3,
    /// The code or the linking took too long.
    Expired = 4,
    /// The account cannot take the newcomer, or the newcomer cannot use what it was given.
    Refused = 5,
}

impl EndCode {
    /// Every code, for tests and test vectors.
    pub const ALL: [EndCode; 5] = [
        EndCode::Cancelled,
        EndCode::WrongString,
        EndCode::AnsweredTwice,
        EndCode::Expired,
        EndCode::Refused,
    ];
}

/// Ends a linking early.
///
/// The message is sealed against the code alone, because the two sides may not have received the
/// same messages. It names the answer instead, which no third party can know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why the linking ends.
    pub code: EndCode,
    /// The transcript up to and including the answer of the linking that ends.
    pub answer: Transcript,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireEnding {
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(bytes = "vec", tag = "2")]
    answer: Vec<u8>,
}

impl Ending {
    /// Encodes the text of the message.
    pub fn encode(&self) -> Vec<u8> {
        WireEnding { code: self.code as u32, answer: self.answer.as_bytes().to_vec() }
            .encode_to_vec()
    }

    /// Decodes the text. A reason that this version does not know counts as a refusal.
    ///
    /// # Errors
    /// [`MessageError::Malformed`].
    pub fn decode(text: &[u8]) -> Result<Self, MessageError> {
        let wire = WireEnding::decode(text).map_err(|_| MessageError::Malformed)?;
        let code = EndCode::ALL
            .into_iter()
            .find(|code| *code as u32 == wire.code)
            .unwrap_or(EndCode::Refused);
        let answer = wire.answer.try_into().map_err(|_| MessageError::Malformed)?;
        Ok(Self { code, answer: Transcript::from_bytes(answer) })
    }
}
