//! What stands behind a context pointer: a number, looked up here. Numbers are never used again, so
//! a pointer that was destroyed finds nothing, instead of somebody else's memory.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use crate::answers::lock;
use crate::context::Context;

static CONTEXTS: LazyLock<Mutex<HashMap<usize, Arc<Context>>>> = LazyLock::new(Mutex::default);
/// Far from NULL, and apart from each other, so that arithmetic on a pointer leads nowhere.
static NEXT: AtomicUsize = AtomicUsize::new(0x1000);
const STEP: usize = 64;

/// Takes a context in, and returns what the host knows it by.
pub(crate) fn insert(context: Arc<Context>) -> *mut c_void {
    let id = NEXT.fetch_add(STEP, Ordering::Relaxed);
    lock(&CONTEXTS).insert(id, context);
    std::ptr::without_provenance_mut(id)
}

/// The context that the host means.
pub(crate) fn get(ctx: *mut c_void) -> Result<Arc<Context>, String> {
    lock(&CONTEXTS).get(&ctx.addr()).cloned().ok_or_else(|| reason(ctx))
}

/// Takes a context out; from now on nobody finds it.
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
