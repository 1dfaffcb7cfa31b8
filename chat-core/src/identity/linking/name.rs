//! The name that a user gives to a new installation.

use super::error::MessageError;
use crate::params::MAX_DEVICE_NAME;

/// Checks the name of a device: one line, so that it cannot forge what a screen says beside it.
///
/// # Errors
/// [`MessageError::Name`].
pub fn check_name(name: &str) -> Result<(), MessageError> {
    // Besides control characters those that turn the direction of writing around.
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if name.trim().is_empty() || name.len() > MAX_DEVICE_NAME || name.contains(odd) {
        return Err(MessageError::Name);
    }
    Ok(())
}
