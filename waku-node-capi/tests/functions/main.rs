//! What each function answers, on nodes that talk to each other over loopback.

#![allow(unsafe_code)]

#[path = "../common/mod.rs"]
mod common;
mod edge;
mod life;
mod peers;
mod relay;
mod store;

/// The NULL pointer, as a context.
fn nothing() -> *mut std::ffi::c_void {
    std::ptr::null_mut()
}
