//! The schema's types. Each wraps a domain value; its doc comment is what GraphiQL shows.

use async_graphql::{ID, Interface};

pub mod backup;
pub mod backup_policy;
pub mod catalog;
pub mod cluster_node;
pub mod console;
pub mod credential;
pub mod date_time;
pub mod endpoint;
pub mod enums;
pub mod history;
pub mod ids;
pub mod inputs;
pub mod instance;
pub mod limits;
pub mod list;
pub mod live;
pub mod node_id;
pub mod operation;
pub mod page;
pub mod payloads;
pub mod project;
pub mod recovery_window;
pub mod service;
pub mod service_connection;
pub mod service_event;
pub mod service_event_connection;
pub mod storage;
pub mod viewer;

use catalog::CatalogEntry;
use project::Project;
use service::Service;

/// An object with an id that is its own among all objects.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Identifies the object among all objects; opaque."))]
pub enum Node {
    Service(Service),
    Project(Project),
    CatalogEntry(CatalogEntry),
}
