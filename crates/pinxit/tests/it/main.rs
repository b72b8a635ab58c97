//! Integration tests, one binary: linking Burn is slow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod data;
