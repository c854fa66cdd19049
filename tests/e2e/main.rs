//! The real server, a real Docker Engine, real PostgreSQL and Redis, real HTTP and WebSocket clients.
//!
//! Without an engine these tests fail; `make test` provides one. What a test makes bears a label of its own and is
//! removed when the test ends, also after a failure.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test that can't go on has failed, and says why")]

#[path = "../shared/bucket.rs"]
mod bucket;
#[path = "../shared/chain.rs"]
mod chain;
mod support;

mod audit;
mod backup_policies;
mod backups;
mod cli;
mod clones;
mod commands;
mod console;
mod containers;
mod exports;
mod faults;
mod hard_limits;
mod images;
mod kinds;
mod live;
mod metrics;
mod networks;
mod nodes;
mod pages;
mod pgbench;
mod point_in_time;
mod pool;
mod privilege;
mod recover;
mod repair;
mod replicas;
mod resize;
mod restore;
mod retention;
mod rotation;
mod secrets;
mod soak;
mod storage;
mod tokens;
mod traces;
mod upgrade;
mod walk;
