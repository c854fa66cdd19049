//! Questions to the servers inside about what they hold. They are put by commands in the containers; of question and answer
//! nothing is kept or logged, since both may hold secrets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::actions::busy;
use super::{App, AppError, Result};
use crate::audit::{self, Object};
use crate::catalog::access::Access;
use crate::catalog::inquiry::{Answer, Inquiry, Refusal};
use crate::catalog::{Offer, definition};
use crate::domain::console::{KeyPage, KeyScan, KeyValue, Table};
use crate::domain::id::ServiceId;
use crate::domain::lifecycle::{InvalidState, Privilege, ServiceAction};
use crate::domain::permission::Principal;
use crate::domain::service::{ErrorCode, Service};
use crate::engine::EngineError;

/// The most characters of a statement.
const MAX_STATEMENT: usize = 10_000;
/// How many questions are under way at once to one service: they take of its CPU time and its connections.
const PER_SERVICE: usize = 2;
/// How many of everybody's are.
const IN_ALL: usize = 8;

/// The questions that are under way.
#[derive(Default)]
pub(super) struct Consoles {
    asked: Arc<Mutex<HashMap<ServiceId, usize>>>,
}

/// Leave to put questions to a service, given back when it is dropped.
pub(super) struct Leave {
    asked: Arc<Mutex<HashMap<ServiceId, usize>>>,
    id: ServiceId,
}

impl Consoles {
    pub(super) fn enter(&self, id: ServiceId, per_service: usize, in_all: usize) -> Result<Leave> {
        let mut asked = locked(&self.asked);
        if asked.values().sum::<usize>() >= in_all {
            return Err(AppError::Crowded { whose: "all services", most: in_all });
        }
        let own = asked.entry(id).or_default();
        if *own >= per_service {
            return Err(AppError::Crowded { whose: "this service", most: per_service });
        }
        *own += 1;
        Ok(Leave { asked: Arc::clone(&self.asked), id })
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut asked = locked(&self.asked);
        let left = asked.remove(&self.id).unwrap_or_default().saturating_sub(1);
        if left > 0 {
            asked.insert(self.id, left);
        }
    }
}

fn locked(asked: &Mutex<HashMap<ServiceId, usize>>) -> MutexGuard<'_, HashMap<ServiceId, usize>> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A service that may be asked.
struct Asked {
    service: Service,
    offer: Offer,
    access: Access,
    leave: Arc<Leave>,
}

impl App {
    /// What a statement that reads gives.
    pub async fn run_sql(&self, viewer: &Principal, id: ServiceId, statement: String) -> Result<(Service, Table)> {
        let action = ServiceAction::RunSql;
        let permitted = self.askable(viewer, id, action).await?;
        let field = "statement";
        if statement.trim().is_empty() || statement.chars().count() > MAX_STATEMENT {
            let message = format!("A statement has 1 to {MAX_STATEMENT} characters.");
            return Err(AppError::BadInput { field, message });
        }
        let asked = self.enter(viewer, permitted, action).await?;
        let console = asked.offer.can.sql.ok_or_else(|| not_supported(&asked.service, action))?;
        let inquiry = (console.ask)(&asked.service.wish, &asked.access, &statement);
        let answer = self.ask(&asked, inquiry).await?;
        let table = (console.read)(&answer, &statement).map_err(|refusal| refused(field, refusal))?;
        Ok((asked.service, table))
    }

    /// Some of the service's keys.
    pub async fn scan_keys(&self, viewer: &Principal, id: ServiceId, scan: KeyScan) -> Result<(Service, KeyPage)> {
        let action = ServiceAction::BrowseKeys;
        let permitted = self.askable(viewer, id, action).await?;
        let asked = self.enter(viewer, permitted, action).await?;
        let browser = asked.offer.can.keys.ok_or_else(|| not_supported(&asked.service, action))?;
        let answer = self.ask(&asked, (browser.scan)(&asked.access, &scan)).await?;
        let found = (browser.read_names)(&answer).map_err(|refusal| refused("first", refusal))?;
        let keys = match found.names.as_slice() {
            [] => Vec::new(),
            names => {
                let answer = self.ask(&asked, (browser.describe)(&asked.access, names)).await?;
                (browser.read_keys)(&answer, found.names).map_err(|refusal| refused("first", refusal))?
            }
        };
        Ok((asked.service, KeyPage { keys, next: found.next, total: found.total }))
    }

    /// The beginning of a key's value; None where there is no such key.
    pub async fn read_key(
        &self,
        viewer: &Principal,
        id: ServiceId,
        name: Vec<u8>,
    ) -> Result<(Service, Option<KeyValue>)> {
        let action = ServiceAction::BrowseKeys;
        let permitted = self.askable(viewer, id, action).await?;
        let asked = self.enter(viewer, permitted, action).await?;
        let browser = asked.offer.can.keys.ok_or_else(|| not_supported(&asked.service, action))?;
        let answer = self.ask(&asked, (browser.value)(&asked.access, &name)).await?;
        let value = (browser.read_value)(&answer, &name).map_err(|refusal| refused("keyBase64", refusal))?;
        Ok((asked.service, value))
    }

    /// The service, where the viewer may ask it, its kind is able to answer and it runs.
    async fn askable(&self, viewer: &Principal, id: ServiceId, action: ServiceAction) -> Result<Service> {
        let service = self.permitted(viewer, id, Privilege::Act(action)).await?;
        if !definition(service.wish.kind).is_able(action) {
            return Err(not_supported(&service, action));
        }
        if !service.understood {
            return Err(AppError::NotUnderstood);
        }
        if !action.is_allowed_in(service.state) {
            return Err(AppError::InvalidState(InvalidState { action, state: service.state }));
        }
        if service.is_changing_version() {
            return Err(busy(&service));
        }
        Ok(service)
    }

    /// From here on it counts as asked, whatever comes of it.
    async fn enter(&self, viewer: &Principal, service: Service, action: ServiceAction) -> Result<Asked> {
        let leave = Arc::new(self.consoles.enter(service.id, PER_SERVICE, IN_ALL)?);
        let access = self.access(service.id).await?.ok_or(AppError::NotFound("service"))?;
        let offer = definition(service.wish.kind).offer.ok_or_else(|| not_supported(&service, action))?;
        audit::accepted(viewer, action, Object::Service(service.id));
        Ok(Asked { service, offer, access, leave })
    }

    /// Puts a question. It counts as under way until it is answered, also where nobody waits for that any more.
    async fn ask(&self, asked: &Asked, inquiry: Inquiry) -> Result<Answer> {
        let (instruments, instance) = (self.instruments(&asked.service), asked.service.instance);
        let leave = Arc::clone(&asked.leave);
        let answer = tokio::spawn(async move {
            let answer = instruments.ask(instance, inquiry).await;
            drop(leave);
            answer
        });
        answer.await.map_err(|error| AppError::Internal(error.into()))?.map_err(unanswered)
    }
}

fn not_supported(service: &Service, action: ServiceAction) -> AppError {
    AppError::NotSupported { kind: definition(service.wish.kind).name, action }
}

/// `field` is the one that asks for what can't be answered.
fn refused(field: &'static str, refusal: Refusal) -> AppError {
    match refusal {
        Refusal::Question(message) => AppError::BadInput { field, message },
        Refusal::Server(why) => AppError::Unanswered { why, cause: None },
    }
}

pub(super) fn unanswered(error: EngineError) -> AppError {
    let why = match &error {
        EngineError::Unavailable(_) => "the engine that runs it is not reachable",
        EngineError::Unknown(_) => "it did not answer in time",
        EngineError::Refused { code: ErrorCode::EngineRefused, .. } => "its container does not run now",
        EngineError::Refused { .. } => "the engine that runs it refused",
    };
    AppError::Unanswered { why: why.to_owned(), cause: Some(error.into()) }
}
