//! Errors of linking messages.

use crate::params::MAX_DEVICE_NAME;

/// Why bytes are not a valid linking message, or a message cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// More bytes than fit into an envelope.
    #[error("a linking's message of {0} bytes is too large")]
    TooLarge(usize),
    /// Not the encoding of such a message.
    #[error("not a message of a linking")]
    Malformed,
    /// A step that this version does not know.
    #[error("step {0} is not a step of a linking")]
    Step(u32),
    /// It was not sealed to this key, or not after what was said so far.
    #[error("the message does not open here and now")]
    Sealed,
    /// The receiver's key is not usable.
    #[error("the other device's key is not usable")]
    Key,
    /// The newcomer has not proved that it holds its key and wants to belong to the account.
    #[error("the new device's signature does not hold")]
    Possession,
    /// The device's name is empty, too long, or not one line of text.
    #[error("a device's name is one line of 1 to {MAX_DEVICE_NAME} bytes")]
    Name,
}
