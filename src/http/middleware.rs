//! What each request goes through ahead of its route: where it comes from, its name in the log, whose page sent it, and
//! the trace that it is part of.

pub mod client_address;
pub mod origin;
pub mod request_id;
pub mod trace;

pub use client_address::ClientAddress;
