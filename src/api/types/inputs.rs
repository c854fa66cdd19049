//! What mutations take.

use async_graphql::{ID, InputObject};

use super::enums::{ResizeApply, ServiceKind, SizeTier};
use super::ids::parse_project;
use crate::api::error::{Error, Result};
use crate::app::provision::ProvisionRequest;

/// What to provision.
#[derive(InputObject)]
pub struct ProvisionServiceInput {
    /// The project that the service is for.
    pub project_id: ID,
    /// A kind that the catalog lists as AVAILABLE.
    pub kind: ServiceKind,
    /// How large the service is.
    #[graphql(default_with = "SizeTier::Dev")]
    pub tier: SizeTier,
    /// One of the catalog's versions of the kind; its default when left out.
    pub version: Option<String>,
    /// 1 to 40 lower-case letters, digits and hyphens, its own in the project. Made from the kind when left out:
    /// "postgresql", "postgresql-2".
    pub name: Option<String>,
    /// 1 to 128 visible ASCII characters of your own making, so that you can send a request again without risk: the
    /// same key and attributes give you the first call's service again; other attributes are a CONFLICT.
    pub idempotency_key: Option<String>,
}

/// Which service.
#[derive(InputObject)]
pub struct ServiceInput {
    /// The service's id.
    pub id: ID,
}

/// Which size to give to which service, and when.
#[derive(InputObject)]
pub struct ResizeServiceInput {
    /// The service's id.
    pub id: ID,
    /// The size that it is to have.
    pub tier: SizeTier,
    /// When it is to have it.
    #[graphql(default_with = "ResizeApply::Now")]
    pub apply: ResizeApply,
}

impl ProvisionServiceInput {
    pub fn parse(self) -> Result<ProvisionRequest> {
        let project = parse_project("projectId", &self.project_id)?;
        let name = self.name.map(|name| name.parse()).transpose().map_err(|_| {
            Error::bad_input(
                "name",
                "A name is 1 to 40 lower-case letters, digits and hyphens, with a letter or digit at both ends.",
            )
        })?;
        let idempotency_key = self.idempotency_key.map(|key| key.parse()).transpose().map_err(|_| {
            Error::bad_input("idempotencyKey", "An idempotency key is 1 to 128 visible ASCII characters.")
        })?;
        Ok(ProvisionRequest {
            project,
            kind: self.kind.into(),
            tier: self.tier.into(),
            version: self.version,
            name,
            idempotency_key,
        })
    }
}
