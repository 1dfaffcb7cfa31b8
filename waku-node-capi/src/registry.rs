//! The contexts behind the pointers that hosts hold: a pointer is a number that is looked up here.
//! Numbers are never reused, so a pointer to a destroyed context finds nothing.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use crate::answers::lock;
use crate::context::Context;

static CONTEXTS: LazyLock<Mutex<HashMap<usize, Arc<Context>>>> = LazyLock::new(Mutex::default);
/// Far from NULL, and far apart, so that arithmetic on a pointer finds no other context.
static NEXT: AtomicUsize = AtomicUsize::new(0x1000);
const STEP: usize = 64;

/// Adds a context, and returns the pointer by which the host names it.
pub(crate) fn insert(context: Arc<Context>) -> *mut c_void {
    let id = NEXT.fetch_add(STEP, Ordering::Relaxed);
    lock(&CONTEXTS).insert(id, context);
    std::ptr::without_provenance_mut(id)
}

/// The context behind a pointer.
pub(crate) fn get(ctx: *mut c_void) -> Result<Arc<Context>, String> {
    lock(&CONTEXTS).get(&ctx.addr()).cloned().ok_or_else(|| reason(ctx))
}

/// Removes a context, so that its pointer no longer finds it.
pub(crate) fn remove(ctx: *mut c_void) -> Result<Arc<Context>, String> {
    lock(&CONTEXTS).remove(&ctx.addr()).ok_or_else(|| reason(ctx))
}

fn reason(ctx: *mut c_void) -> String {
    if ctx.is_null() {
        "the context is NULL".into()
    } else {
        "there is no such context; was it destroyed?".into()
    }
}
