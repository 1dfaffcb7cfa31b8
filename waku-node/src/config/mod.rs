//! How a node is configured.

mod address;
mod error;
mod key;
mod key_file;
mod limits;
mod node;
mod services;

pub(crate) use address::{check_dial, check_listen};
pub use error::{AddressError, ConfigError};
pub use key::NodeKey;
pub use key_file::{KeyFile, KeyFileError};
pub use limits::{Limits, ReconnectConfig};
pub use node::NodeConfig;
pub use services::{FilterConfig, StoreConfig};
