//! All that a service holds, to download. A link is asked for first, which is good for a moment wherever it is opened: what
//! follows links bears no token.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::actions::busy;
use super::{App, AppError, Result, now};
use crate::audit::{self, Object};
use crate::catalog::definition;
use crate::catalog::dump::Dump;
use crate::catalog::inquiry::Inquiry;
use crate::crypto::Sealed;
use crate::domain::event::NewEvent;
use crate::domain::id::ServiceId;
use crate::domain::lifecycle::{InvalidState, Privilege, ServiceAction};
use crate::domain::permission::Principal;
use crate::domain::service::{Service, ServiceState};
use crate::store::{Committed, Guard, StoreError, Write};

/// How long a link can be opened.
pub const GOOD_FOR: SignedDuration = SignedDuration::from_secs(60);
/// How long a download may take.
const LIMIT: Duration = Duration::from_secs(6 * 3600);
/// How many of one service go on at once, and of all.
const PER_SERVICE: usize = 1;
const IN_ALL: usize = 4;
/// How many pieces wait at most for a client that reads slowly; the engine gives them in up to 32 KiB.
const WAITING: usize = 32;
/// How much is kept of what a command complains of, in bytes.
const KEPT: usize = 4 << 10;
/// What a link is sealed for.
const PURPOSE: &[u8] = b"export";

/// What a link says.
#[derive(Serialize, Deserialize)]
struct Ticket {
    service: ServiceId,
    expires_at: Timestamp,
}

/// A link that was asked for.
pub struct Link {
    /// What [`App::export`] takes.
    pub ticket: String,
    pub expires_at: Timestamp,
    pub committed: Committed,
}

/// A download that has begun. Its content ends with an error where it is not whole.
pub struct Export {
    pub file_name: String,
    pub content: BoxStream<'static, std::io::Result<Bytes>>,
}

impl App {
    /// Gives a link by which all that a running service holds can be downloaded.
    pub async fn ask_for_export(&self, viewer: &Principal, id: ServiceId) -> Result<Link> {
        let what = Privilege::Export;
        let service = self.permitted(viewer, id, what).await?;
        exportable(&service)?;
        let now = now();
        let expires_at = now + GOOD_FOR;
        let ticket = serde_json::to_vec(&Ticket { service: id, expires_at });
        let ticket = ticket.map_err(|error| AppError::Internal(error.into()))?;
        let ticket = URL_SAFE_NO_PAD.encode(self.sealer.seal_with(PURPOSE, &ticket)?.as_bytes());
        let event = NewEvent::export_requested(&service, &viewer.subject, now);
        let guard = Guard::State { read: &service, one_of: &[ServiceState::Running] };
        let committed = match self.store.commit(Write { event: Some(&event), ..Write::new(guard, now) }).await {
            Ok(committed) => committed,
            // It was stopped in between.
            Err(StoreError::InvalidState(state)) => {
                let action = ServiceAction::CreateBackup;
                return Err(AppError::InvalidState(InvalidState { action, state }));
            }
            Err(error) => return Err(error.into()),
        };
        self.hints.project_changed(&service.project);
        audit::accepted(viewer, what.as_str(), Object::Service(id));
        Ok(Link { ticket, expires_at, committed })
    }

    /// Begins the download that a link stands for. NotFound where it is none, or is not good any more.
    pub async fn export(&self, ticket: &str) -> Result<Export> {
        let no_link = || AppError::NotFound("link");
        let sealed = URL_SAFE_NO_PAD.decode(ticket).map_err(|_| no_link())?;
        let opened = self.sealer.open_with(PURPOSE, &Sealed::from_bytes(sealed)).map_err(|_| no_link())?;
        let ticket: Ticket = serde_json::from_slice(&opened).map_err(|_| no_link())?;
        let now = now();
        if now >= ticket.expires_at || ticket.expires_at.duration_since(now) > GOOD_FOR {
            return Err(no_link());
        }
        let service = self.store.service_get(ticket.service).await?.ok_or_else(no_link)?;
        let dump = exportable(&service)?;
        let access = self.access(service.id).await?.ok_or_else(no_link)?;
        let leave = self.exports.enter(service.id, PER_SERVICE, IN_ALL)?;
        let change = (dump.take)(&access);
        let (command, user, input) = (change.command, change.user, change.input);
        let inquiry = Inquiry { command, user, input, limit: LIMIT, kept: KEPT };
        let (pieces, mut flowing) = mpsc::channel(WAITING);
        let (instruments, instance) = (self.instruments(&service), service.instance);
        let dumping = tokio::spawn(async move {
            let ended = instruments.listen(instance, inquiry, pieces).await;
            drop(leave);
            ended
        });
        let id = service.id;
        let content = async_stream::stream! {
            while let Some(piece) = flowing.recv().await {
                yield Ok(piece);
            }
            let why = match dumping.await {
                Ok(Ok(ended)) if ended.exit_code == Some(0) => return,
                Ok(Ok(ended)) => access.redact(&ended.output),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            tracing::warn!(service = %id, why, "A download was broken off");
            yield Err(std::io::Error::other("what is downloaded is not whole"));
        };
        let file_name = format!("{}-{}.{}", service.name, now.strftime("%Y-%m-%dT%H-%M-%SZ"), dump.extension);
        Ok(Export { file_name, content: content.boxed() })
    }
}

/// How what a service holds is dumped; why not, where it can't be now.
fn exportable(service: &Service) -> Result<Dump> {
    let (kind, action) = (definition(service.wish.kind), ServiceAction::CreateBackup);
    let dump = kind.offer.as_ref().and_then(|offer| offer.can.dump);
    let dump = dump.ok_or(AppError::NotSupported { kind: kind.name, action })?;
    if !service.understood {
        return Err(AppError::NotUnderstood);
    }
    if service.state != ServiceState::Running {
        return Err(AppError::InvalidState(InvalidState { action, state: service.state }));
    }
    if service.is_changing_version() { Err(busy(service)) } else { Ok(dump) }
}
