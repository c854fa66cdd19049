//! Who calls.

use std::sync::Arc;

use axum::Extension;
use axum::extract::FromRequestParts;
use axum::extract::rejection::ExtensionRejection;
use axum::http::{HeaderMap, header, request};

use crate::api::{Identity, RequestId};
use crate::http::Parts;
use crate::http::limits::ConnectionSlot;
use crate::http::limits::inbound::Inbound;
use crate::http::middleware::ClientAddress;

/// Whose request it is; put together of what is in its extensions.
#[derive(Clone)]
pub struct Caller {
    pub request_id: RequestId,
    pub address: ClientAddress,
    /// Its connection's.
    pub slot: Arc<ConnectionSlot>,
    pub inbound: Arc<Inbound>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Extension(request_id) = Extension::from_request_parts(parts, state).await?;
        let Extension(address) = Extension::from_request_parts(parts, state).await?;
        let Extension(slot) = Extension::from_request_parts(parts, state).await?;
        let Extension(inbound) = Extension::from_request_parts(parts, state).await?;
        Ok(Self { request_id, address, slot, inbound })
    }
}

/// The Authorization header; one that is no text is as good as one that is no token.
pub fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default())
}

impl Parts {
    /// Who sends `authorization`, as the Authorization header or as a value of `connection_init`.
    pub(super) async fn identify(&self, authorization: Option<&str>) -> Identity {
        let Some(authorization) = authorization else {
            return Identity::Anonymous("no token was sent".to_owned());
        };
        match self.verifier.verify_bearer(authorization).await {
            Ok(principal) => Identity::Known(principal),
            Err(refusal) => Identity::Anonymous(refusal.to_string()),
        }
    }
}
