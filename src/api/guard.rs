//! Who is asking.

use std::sync::Arc;

use async_graphql::{Context, Guard};
use jiff::Timestamp;

use super::Identity;
use super::error::{Error, Result};
use super::fan_out::Pursuit;
use crate::audit;
use crate::clock::Clock;
use crate::domain::permission::Principal;

const EXPIRED: &str = "the token is expired";
const MISSING: &str = "no token was sent";

/// Lets only viewers through whose token was verified and is still good.
pub struct Authenticated;

impl Guard for Authenticated {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        let sender = ctx.data_opt::<Identity>();
        let Some(refusal) = refusal(sender, ctx.data_unchecked::<Clock>().now()) else { return Ok(()) };
        // It was let through before, and ends by itself.
        let goes_on = || ctx.data_opt::<Arc<Pursuit>>().is_some_and(|pursuit| pursuit.goes_on());
        if matches!(sender, Some(Identity::Known(_))) && goes_on() {
            return Ok(());
        }
        audit::request_refused(refusal);
        Err(Error::unauthenticated(refusal).into())
    }
}

/// Why the guard does not let a sender through; None where it does.
pub fn refusal(sender: Option<&Identity>, now: Timestamp) -> Option<&str> {
    match sender {
        Some(Identity::Known(viewer)) if viewer.ends_at() > now => None,
        Some(Identity::Known(_)) => Some(EXPIRED),
        Some(Identity::Anonymous(reason)) => Some(reason),
        None => Some(MISSING),
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
