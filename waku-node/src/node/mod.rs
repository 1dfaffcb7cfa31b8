//! The handle of a running node: `handle` runs it and publishes, `history` asks Stores, `light` uses
//! the filter and lightpush services of others.

mod handle;
mod history;
mod light;

pub use handle::Node;
