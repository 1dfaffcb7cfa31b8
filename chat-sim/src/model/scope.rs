//! How far the search goes.

/// How far the search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Commits of the trees, at most.
    pub commits: usize,
    /// Further commits by those who might gain, at most.
    pub more: usize,
}
