//! Many committers, one branch: which commits count.
