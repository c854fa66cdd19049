//! Project Services: managed services for a preview platform's projects, over GraphQL.
//!
//! # Code map
//!
//! | module | owns | never |
//! |---|---|---|
//! | [`domain`] | what a service is, its life, who may do what | does I/O, reads a clock |
//! | [`catalog`] | what each kind of service is made of | looks at what is there |
//! | [`crypto`] | sealing of credentials | stores or logs |
//! | [`store`] | rows, transactions, the event log | decides about a service's life |

pub mod app;
pub mod auth;
pub mod catalog;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod engine;
pub mod events;
pub mod reconciler;
pub mod store;
pub mod telemetry;
