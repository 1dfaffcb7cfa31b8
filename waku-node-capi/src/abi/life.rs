//! A node from its creation to its end, and the receiver of its events.

use std::ffi::{c_char, c_int, c_void};
use std::panic::catch_unwind;

use super::arguments::required;
use super::call::{functions, guard};
use crate::callback::{Callback, RET_OK, WakuCallBack};
use crate::config::Settings;
use crate::context::Context;
use crate::requests::Request;
use crate::{log, registry};

/// Creates a node from JSON. The answer is empty, or says what is wrong with the configuration; either
/// way there is a context to be destroyed, unless this returns NULL.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_new(
    configJson: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> *mut c_void {
    let mut ctx = std::ptr::null_mut();
    guard(callback, userData, |callback| {
        // SAFETY: as required of the caller.
        let text = unsafe { required(configJson, "configJson") };
        let settings = text.and_then(|text| Settings::read(&text));
        if let Ok(settings) = &settings {
            log::start(&settings.log_level);
        }
        ctx = registry::insert(Context::new(settings, callback).map_err(|e| (callback, e.into()))?);
        Ok(())
    });
    ctx
}

/// Stops a node, and frees all that belongs to it. Requests under way are answered before this
/// returns. The answer is empty, and comes on the caller's thread.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_destroy(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    guard(callback, userData, |callback| {
        let destroyed = registry::remove(ctx).and_then(|context| context.destroy());
        destroyed.map_err(|e| (callback, e.into()))?;
        callback.call(RET_OK, "");
        Ok(())
    })
}

functions! {
    request;

    /// Starts the node. The answer is empty; starting a node that runs changes nothing.
    fn waku_start() {
        Ok(Request::Start)
    }

    /// Stops the node, which can be started again. The answer is empty.
    fn waku_stop() {
        Ok(Request::Stop)
    }
}

/// Sets the receiver of events, from the next one on; NULL for none.
///
/// # Safety
/// See [`crate::abi`]; here `callback` may be called until it is replaced or the context destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_set_event_callback(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) {
    let set = || match registry::get(ctx) {
        Ok(context) => context.set_receiver(Callback::new(callback, userData)),
        Err(error) => tracing::error!(%error, "cannot set an event callback"),
    };
    // There is no callback to report a panic to.
    let _ = catch_unwind(set);
}
