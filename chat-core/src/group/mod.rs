//! One MLS group: its states, commits and messages.
