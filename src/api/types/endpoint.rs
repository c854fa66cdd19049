//! Where services listen.

use async_graphql::Object;

use crate::catalog::Endpoint;
use crate::domain::service::Published;

/// How many endpoints a kind has at most.
pub const ENDPOINTS: usize = 2;

pub struct CatalogEndpoint(pub &'static Endpoint);

/// A TCP port that services of a kind listen on.
#[Object]
impl CatalogEndpoint {
    /// What tells it from the others of its kind.
    async fn name(&self) -> &str {
        self.0.name
    }

    /// What is spoken there, as the scheme of a URL, such as "postgresql", "http" or "smtp".
    async fn protocol(&self) -> &str {
        self.0.protocol
    }

    /// The TCP port, on the project's network.
    async fn port(&self) -> u16 {
        self.0.port
    }
}

pub struct ServiceEndpoint {
    pub endpoint: &'static Endpoint,
    pub published: Option<Published>,
}

/// A TCP port that a service listens on.
#[Object]
impl ServiceEndpoint {
    /// What tells it from the service's others.
    async fn name(&self) -> &str {
        self.endpoint.name
    }

    /// What is spoken there, as the scheme of a URL, such as "postgresql", "http" or "smtp".
    async fn protocol(&self) -> &str {
        self.endpoint.protocol
    }

    /// The TCP port, at the service's `hostname`.
    async fn port(&self) -> u16 {
        self.endpoint.port
    }

    /// The TCP port that it is published on at the service's `externalHost`; null while it is not. A start gives it the same one
    /// again.
    async fn external_port(&self) -> Option<u16> {
        self.published.map(|published| published.port)
    }
}
