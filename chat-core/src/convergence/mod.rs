//! Many committers, one branch: which commits count.
//!
//! Commits apply at once and each has one parent, so they form a tree. Everything here is a pure
//! function of that tree: two members that know the same commits follow the same branch, in
//! whatever order they learnt of them.

pub mod choose;
pub mod follow;
pub mod tree;

pub use choose::{Judgement, choose, judge, would_lose};
pub use follow::{Switch, switch};
pub use tree::{Admin, CommitNode, CommitTree, Membership, TreeError, TreeRoot};
