//! [`Conversation`](super::conversation::Conversation) driven by itself: members with a context each
//! and no machine. What one of them posts is sealed, carried over and opened by the others.

mod book;
mod cuts;
mod drafts;
mod forgetting;
mod forks;
mod installations;
mod joining;
mod look;
mod member;
mod messages;
mod refusals;
mod restored;
mod world;
