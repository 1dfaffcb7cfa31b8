//! What all functions have in common.

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::ffi::code::{Failure, WakuChatCode};
use crate::ffi::strings::Out;

/// The host's milliseconds; none if negative.
pub(super) fn limit(timeout_ms: i64) -> Option<Duration> {
    u64::try_from(timeout_ms).ok().map(Duration::from_millis)
}

/// Runs the body of a function, reports its error, and keeps panics from the host.
pub(super) fn guard(
    error: &Out<*mut c_char>,
    run: impl FnOnce() -> Result<(), Failure>,
) -> WakuChatCode {
    let result = catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(Failure::internal("something unforeseen happened")));
    match result {
        Ok(()) => WakuChatCode::Ok,
        Err(failure) => {
            if error.is_wanted() {
                error.set_text(failure.to_json());
            }
            failure.code
        }
    }
}

#[cfg(test)]
#[allow(unsafe_code, clippy::unwrap_used)]
mod tests {
    use std::ffi::CStr;
    use std::ptr::null_mut;

    use super::*;
    use crate::ffi::abi::handle::WAKU_CHAT_NO_LIMIT;
    use crate::ffi::strings::take_back;

    #[test]
    fn a_panic_stays_inside() {
        let mut text = null_mut();
        // SAFETY: a place of this test.
        let error = unsafe { Out::new(&raw mut text, null_mut()) };
        assert_eq!(guard(&error, || panic!("a test")), WakuChatCode::Internal);
        // SAFETY: an error came with a text.
        let told = unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
        assert!(told.contains(r#""code":"internal""#) && !told.contains("a test"), "{told}");
        // SAFETY: it came from here.
        unsafe { take_back(text) };
    }

    #[test]
    fn negative_times_have_no_limit() {
        assert_eq!(limit(WAKU_CHAT_NO_LIMIT), None);
        assert_eq!(limit(i64::MIN), None);
        assert_eq!(limit(0), Some(Duration::ZERO));
        assert_eq!(limit(i64::MAX), Some(Duration::from_millis(i64::MAX as u64)));
    }
}
