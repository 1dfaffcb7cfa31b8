//! The functions that a host sees: those of `libwaku.h` v0.37.1, 42 of them, with the names of its
//! parameters.
//!
//! They are in the files below, by what they are about. Each only reads its arguments; what follows is
//! decided elsewhere. A call without a callback does nothing and returns
//! [`crate::RET_MISSING_CALLBACK`]. Any other call leads to exactly one callback, also where it returns
//! [`crate::RET_ERR`]: on the caller's thread if an argument is wrong, and for constants; on a thread of
//! the library otherwise.
//!
//! # Safety
//!
//! For all of them: a `callback` that is not NULL is a function of that type, may be called from
//! another thread with `user_data` until it was called, and does not unwind; a string that is not
//! NULL ends with a zero byte and does not change during the call. Contexts may be anything: they
//! are looked up, and never followed.

#![allow(unsafe_code)]
// The names are those of the header.
#![allow(non_snake_case)]

mod arguments;
mod call;
mod discovery;
mod info;
mod life;
mod light;
mod peers;
mod relay;
mod store;

pub use self::discovery::*;
pub use self::info::*;
pub use self::life::*;
pub use self::light::*;
pub use self::peers::*;
pub use self::relay::*;
pub use self::store::*;
