//! The safe layer over a library that misbehaves.
#![allow(unsafe_code)]

mod attach;
mod calls;
mod fake;
mod life;
