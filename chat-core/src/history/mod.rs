//! Nothing goes missing unnoticed: chains, heads and gaps.
