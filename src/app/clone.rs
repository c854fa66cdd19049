//! A service that has the data of another one, as it is now.

use jiff::Timestamp;

use super::backups::{able, ready};
use super::provision::{Origin, OriginOf, ProvisionRequest};
use super::{App, AppError, Committed, Result};
use crate::catalog::definition;
use crate::domain::id::{IdempotencyKey, ProjectId, ServiceId};
use crate::domain::lifecycle::Privilege;
use crate::domain::name::ServiceName;
use crate::domain::permission::Principal;
use crate::domain::service::SizeTier;

/// What a clone is to be.
#[derive(Debug, Clone)]
pub struct CloneRequest {
    pub source: ServiceId,
    /// None: the source's own.
    pub project: Option<ProjectId>,
    /// None: made from the kind.
    pub name: Option<ServiceName>,
    /// None: that of the source.
    pub tier: Option<SizeTier>,
    pub expires_at: Option<Timestamp>,
    pub idempotency_key: Option<IdempotencyKey>,
}

impl App {
    /// Accepts a new service that is to have what a running one holds, which serves on.
    pub async fn clone_service(&self, viewer: &Principal, request: CloneRequest) -> Result<Committed> {
        let source = self.permitted(viewer, request.source, Privilege::Clone).await?;
        able(&source)?;
        ready(&source)?;
        let tier = request.tier.unwrap_or(source.wish.tier.tier);
        let offer = definition(source.wish.kind).offer.as_ref();
        let used = source.evidence.storage.used_mib.unwrap_or_default();
        let spec = offer.and_then(|offer| offer.tier(tier)).filter(|spec| u64::from(spec.storage_mib) < used);
        if let Some(spec) = spec {
            let message = format!("The service holds {used} MiB, and that size has {} MiB.", spec.storage_mib);
            return Err(AppError::Conflict { field: "tier", message });
        }
        let names = self.access(source.id).await?.ok_or(AppError::NotFound("service"))?;
        let provision = ProvisionRequest {
            project: request.project.unwrap_or_else(|| source.project.clone()),
            kind: source.wish.kind,
            tier,
            version: Some(source.wish.version.clone()),
            name: request.name,
            idempotency_key: request.idempotency_key,
            origin: Some(Origin { of: OriginOf::Service(source.id), names }),
            protected: false,
            expires_at: request.expires_at,
        };
        self.provision(viewer, provision).await
    }
}
