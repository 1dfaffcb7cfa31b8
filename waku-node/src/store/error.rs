//! Why a Store query, or the archive behind a Store, failed.

use libp2p::PeerId;

/// A Store query failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connected peer offers Store, and this node keeps no archive.
    #[error("no connected peer offers Store")]
    NoPeer,
    /// The named peer is not connected.
    #[error("{0} is not connected")]
    NotConnected(PeerId),
    /// The peer does not speak Store v3.
    #[error("the peer does not offer Store v3")]
    Unsupported,
    /// No answer within the request time-out.
    #[error("the Store did not answer in time")]
    Timeout,
    /// The connection or stream ended before the answer was complete.
    #[error("the connection to the Store failed: {0}")]
    Connection(String),
    /// The Store answered with a status other than 200.
    #[error("the Store answered {code}: {description}")]
    Status {
        /// The status, in the manner of HTTP.
        code: u32,
        /// The server's explanation, cut to 256 bytes.
        description: String,
    },
    /// The answer breaks the protocol.
    #[error("the Store's answer is invalid: {0}")]
    BadResponse(&'static str),
    /// Following the answer's cursor would lead to no further message.
    #[error("the Store's cursor makes no progress")]
    NoProgress,
    /// No Store would answer the query.
    #[error("invalid query: {0}")]
    InvalidQuery(&'static str),
    /// Too many queries are under way.
    #[error("too many queries are under way")]
    Busy,
    /// The node's own archive failed.
    #[error("own archive: {0}")]
    Archive(#[from] ArchiveError),
    /// The node was shut down.
    #[error("the node has stopped")]
    Stopped,
}

/// The archive's database failed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// SQLite refused, for instance because another process has the file open.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    /// Another version wrote the file, or it is not an archive.
    #[error("the database has schema version {0}, which this version cannot read")]
    Schema(i64),
    /// The archive's thread could not be started, or has ended.
    #[error("the archive is not running")]
    Stopped,
}

/// Why the archive does not answer a query.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    /// The query asks for something that no Store answers.
    #[error("{0}")]
    Bad(&'static str),
    /// The database failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl From<rusqlite::Error> for QueryError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Archive(e.into())
    }
}

impl From<QueryError> for StoreError {
    fn from(e: QueryError) -> Self {
        match e {
            QueryError::Bad(what) => Self::InvalidQuery(what),
            QueryError::Archive(e) => Self::Archive(e),
        }
    }
}
