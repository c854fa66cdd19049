//! What happened to a service.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::date_time::DateTime;
use super::enums::ServiceState;
use super::operation::Operation;
use super::service::Service;
use super::service_connection::ServiceEdge;
use crate::api::batches;
use crate::api::error::Result;
use crate::app::AppError;
use crate::app::feed::Happened;
use crate::domain::id::Cursor;
use crate::domain::{event, service};

pub struct ServiceEvent {
    event: Arc<event::ServiceEvent>,
    /// Where it was read with the event.
    service: Option<Arc<service::Service>>,
}

impl ServiceEvent {
    pub fn sequence(&self) -> i64 {
        self.event.sequence
    }

    pub fn position(&self) -> String {
        Cursor::encode(&self.event.project, self.event.sequence)
    }
}

impl From<event::ServiceEvent> for ServiceEvent {
    fn from(event: event::ServiceEvent) -> Self {
        Self { event: Arc::new(event), service: None }
    }
}

impl From<Happened> for ServiceEvent {
    fn from(Happened { event, service }: Happened) -> Self {
        Self { event, service }
    }
}

/// Something that happened to a service. Events never change. They are kept for as long as the server is set to, and the
/// newest one of a service that is not destroyed for as long as that is so.
#[Object]
impl ServiceEvent {
    /// Its place among the project's events; opaque, and increasing within the project. Give it to
    /// `serviceEvents(after:)` to go on from here.
    async fn cursor(&self) -> String {
        self.position()
    }

    /// The service that it happened to.
    async fn service_id(&self) -> ID {
        self.event.service.to_string().into()
    }

    /// The service that it happened to, as it is now.
    async fn service(&self, ctx: &Context<'_>) -> Result<Service> {
        if let Some(service) = &self.service {
            return Ok(Service(Arc::clone(service)));
        }
        let service = batches::service(ctx, self.event.service).await?;
        Ok(service.ok_or(AppError::NotFound("service"))?.into())
    }

    /// The service's revision from then on, to tell which of several answers about it is the newest; null on events from
    /// before the server counted it.
    async fn revision(&self) -> Option<i64> {
        self.event.revision
    }

    /// On a service's first event the service, as it is now, with its place in the project's list, for clients that append
    /// it to a connection; null on every other event.
    async fn created_service(&self, ctx: &Context<'_>) -> Result<Option<ServiceEdge>> {
        match self.event.previous_state {
            None => Ok(Some(ServiceEdge(self.service(ctx).await?))),
            Some(_) => Ok(None),
        }
    }

    /// On the event that a service is destroyed by its id, for clients that take it out of their lists; null on every other
    /// event.
    async fn destroyed_service_id(&self) -> Option<ID> {
        let is_destroyed = self.event.state == crate::domain::service::ServiceState::Destroyed;
        is_destroyed.then(|| self.event.service.to_string().into())
    }

    /// The state that it was in before; null on a service's first event.
    async fn previous_state(&self) -> Option<ServiceState> {
        self.event.previous_state.map(Into::into)
    }

    /// The state that it was in from then on.
    async fn state(&self) -> ServiceState {
        self.event.state.into()
    }

    /// What was being done about it from then on; null when nothing was.
    async fn operation(&self) -> Option<Operation> {
        self.event.operation.clone().map(Operation)
    }

    /// One sentence for people. It never holds a secret.
    async fn message(&self) -> &str {
        &self.event.message
    }

    /// Who did it: the `sub` of their token. Null when the system did it.
    async fn actor(&self) -> Option<&str> {
        self.event.actor.as_deref()
    }

    /// When it happened.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.event.occurred_at)
    }
}
