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
//! | [`app`] | the use cases: what a query, a mutation or a subscription does | calls the engine |
//! | [`api`] | the GraphQL schema and what clients read of errors | touches store or engine |
//! | [`http`] | routes, tokens on the wire, GraphQL over HTTP and WebSocket | knows a use case |

pub mod api;
pub mod app;
pub mod auth;
pub mod catalog;
pub mod crypto;
pub mod domain;
pub mod events;
pub mod http;
pub mod store;
