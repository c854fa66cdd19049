//! Who is asking.

use async_graphql::{Context, Guard};

use super::Identity;
use super::error::{Error, Result};
use crate::audit;
use crate::clock::Clock;
use crate::domain::permission::Principal;

const EXPIRED: &str = "the token is expired";
const MISSING: &str = "no token was sent";

/// Lets only viewers through whose token was verified and is still good.
pub struct Authenticated;

impl Guard for Authenticated {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        let refusal = match ctx.data_opt::<Identity>() {
            Some(Identity::Known(viewer)) if viewer.ends_at() > ctx.data_unchecked::<Clock>().now() => return Ok(()),
            Some(Identity::Known(_)) => EXPIRED,
            Some(Identity::Anonymous(reason)) => reason,
            None => MISSING,
        };
        audit::request_refused(refusal);
        Err(Error::unauthenticated(refusal).into())
    }
}

/// The viewer, behind the guard.
pub fn viewer<'a>(ctx: &Context<'a>) -> Result<&'a Principal> {
    match ctx.data_opt::<Identity>() {
        Some(Identity::Known(principal)) => Ok(principal),
        Some(Identity::Anonymous(reason)) => Err(Error::unauthenticated(reason)),
        None => Err(Error::unauthenticated(MISSING)),
    }
}

pub fn expired() -> Error {
    Error::unauthenticated(EXPIRED)
}
