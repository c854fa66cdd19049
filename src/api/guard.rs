//! Who is asking.

use async_graphql::{Context, Guard};
use jiff::Timestamp;

use super::Identity;
use super::error::{Error, Result};
use crate::domain::permission::Principal;

/// Lets only viewers through whose token was verified and is still good.
pub struct Authenticated;

impl Guard for Authenticated {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        if viewer(ctx)?.ends_at() <= Timestamp::now() {
            return Err(expired().into());
        }
        Ok(())
    }
}

/// The viewer, behind the guard.
pub fn viewer<'a>(ctx: &Context<'a>) -> Result<&'a Principal> {
    match ctx.data_opt::<Identity>() {
        Some(Identity::Known(principal)) => Ok(principal),
        Some(Identity::Anonymous(reason)) => Err(Error::unauthenticated(reason)),
        None => Err(Error::unauthenticated("no token was sent")),
    }
}

pub fn expired() -> Error {
    Error::unauthenticated("the token is expired")
}
