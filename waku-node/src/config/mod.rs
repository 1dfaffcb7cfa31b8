//! How a node is configured.

mod address;
mod error;
mod key;
mod limits;
mod node;
mod services;

pub(crate) use address::{check_dial, check_listen};
pub use error::{AddressError, ConfigError};
pub use key::NodeKey;
pub use limits::{Limits, ReconnectConfig};
pub use node::NodeConfig;
pub use services::{FilterConfig, StoreConfig};
