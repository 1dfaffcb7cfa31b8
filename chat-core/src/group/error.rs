//! Errors of one group's MLS state.

/// Why something could not be done with a group's state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// openmls refused. The text is for logs; it holds no secret.
    #[error("MLS: {0}")]
    Mls(String),
    /// Stored state cannot be loaded.
    #[error("the stored state of a group cannot be loaded: {0}")]
    Load(String),
    /// A message or commit cannot be read, or is of a kind that is not allowed.
    #[error("not a message of this group: {0}")]
    Format(&'static str),
    /// A leaf's credential, key, lifetime or extensions are not as they must be.
    #[error("a leaf is not valid: {0}")]
    Leaf(String),
    /// A message or commit comes from this installation's own leaf, and was not made here. Of a
    /// message, anyone in the group can claim that: it is not signed. A commit is.
    #[error("in the name of this installation")]
    OwnLeaf,
    /// What is inside cannot be read.
    #[error("the content cannot be read: {0}")]
    Content(String),
    /// What was sent in this epoch is not what the mark outside of it says: sending again could
    /// use a key twice.
    #[error("this state must not be used to send")]
    ReadOnly,
}

impl From<super::policy::PolicyError> for GroupError {
    fn from(error: super::policy::PolicyError) -> Self {
        GroupError::Content(error.to_string())
    }
}

impl GroupError {
    pub(crate) fn mls(error: impl std::fmt::Display) -> Self {
        GroupError::Mls(error.to_string())
    }
}
