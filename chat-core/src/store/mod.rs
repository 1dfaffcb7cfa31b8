//! One encrypted SQLite file.
