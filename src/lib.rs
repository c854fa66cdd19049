//! Project Services: managed services for a preview platform's projects, over GraphQL.
//!
//! # Code map
//!
//! | module | owns | never |
//! |---|---|---|
//! | [`domain`] | what a service is, its life, who may do what | does I/O, reads a clock |
//! | [`catalog`] | what each kind of service is made of | looks at what is there |
//! | [`crypto`] | sealing of credentials | stores or logs |
//! | [`auth`] | who a token stands for | decides what they may do |
//! | [`audit`] | the audit trail's lines | decides anything |
//! | [`store`] | rows, transactions, the event log | decides about a service's life |
//! | [`engine`] | containers, volumes and networks, in verbs that can be repeated | touches what bears no label of ours |
//! | [`repository`] | where backups are kept | knows what is in one, or when one is due |
//! | [`hints`] | waking those who wait | carries facts |
//! | [`reconciler`] | bringing services to where they were sent | answers a request |
//! | [`recovery`] | an installation brought back on another machine | runs beside a server |
//! | [`app`] | the use cases | calls the engine |
//! | [`api`] | the GraphQL schema, error codes | knows the store |
//! | [`http`] | routes, protocols, pages, health | knows a use case |
//! | [`causes`] | what an error came of, as text | decides what of it is shown |
//! | [`cli`] | what people do to services from a terminal, over the API | knows anything of the server |
//! | [`clock`] | what time it is | decides what is due |
//! | [`tls`] | how connections to others are secured | connects |
//! | `files` | files that come into being whole | knows what is in them |
//! | [`config`] | the environment and the command line | does anything with them |
//! | [`telemetry`] | the log's shape, metrics, traces | decides anything |
//! | [`server`] | building and stopping it all | |

pub mod api;
pub mod app;
pub mod audit;
pub mod auth;
pub mod catalog;
pub mod causes;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod engine;
mod files;
pub mod hints;
pub mod http;
pub mod reconciler;
pub mod recovery;
pub mod repository;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod tls;
