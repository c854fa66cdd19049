//! One binary of tests that need no Docker Engine.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "../shared/bucket.rs"]
mod bucket;
#[path = "../shared/chain.rs"]
mod chain;

mod api;
mod architecture;
mod backup_policies;
mod backups;
mod bodies;
mod clients;
mod concurrency;
mod console;
mod cursors;
mod errors;
mod event_stream;
mod exports;
mod fan_out;
mod frontends;
mod fuzz;
mod guards;
mod harness;
mod http;
mod instruments;
mod issuer;
mod lifetime;
mod limits;
mod live;
mod model;
mod nodes;
mod offering;
mod origin;
mod point_in_time;
mod reads;
mod repository;
mod responses;
mod schema;
mod store;
mod tokens;
mod tokens_jwks;
mod websocket;
mod websocket_frames;
