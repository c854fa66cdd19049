//! Who reconciles.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Answer, Conn};
use crate::domain::term::{ReplicaId, Term};
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::schema::reconciler_term;
use crate::store::types::Id;

/// Lets no other term than that of `epoch` begin until this transaction has ended. Its holder's signs of life go on
/// meanwhile, and so do other writers.
pub(super) async fn term_hold(connection: &mut Conn, epoch: i64) -> Answer<()> {
    let term = reconciler_term::table.filter(reconciler_term::epoch.eq(epoch)).select(reconciler_term::epoch);
    let held: Option<i64> = lock!(term, for_key_share).first(connection).await.optional()?;
    held.map(drop).ok_or(Fault::Refused(StoreError::Deposed))
}

/// Begins a term, once those who write in the last one have ended.
pub(super) async fn term_take(connection: &mut Conn, seen: &Term, holder: ReplicaId) -> Answer<Option<Term>> {
    let _: i64 = lock!(reconciler_term::table.select(reconciler_term::epoch), for_update).first(connection).await?;
    term_replace(connection, seen, Term { holder: Some(holder), epoch: seen.epoch + 1, beat: 0 }).await
}

pub(super) async fn term_current(connection: &mut Conn) -> Answer<Term> {
    let columns = (reconciler_term::holder, reconciler_term::epoch, reconciler_term::beat);
    let (holder, epoch, beat): (Option<Id>, i64, i64) =
        reconciler_term::table.select(columns).first(connection).await?;
    Ok(Term { holder: holder.map(|Id(id)| ReplicaId(id)), epoch, beat })
}

/// Writes `next` if the row still is `seen`.
pub(super) async fn term_replace(connection: &mut Conn, seen: &Term, next: Term) -> Answer<Option<Term>> {
    let written = diesel::update(reconciler_term::table)
        .filter(reconciler_term::epoch.eq(seen.epoch))
        .filter(reconciler_term::beat.eq(seen.beat))
        .set((
            reconciler_term::holder.eq(next.holder.map(|ReplicaId(id)| Id(id))),
            reconciler_term::epoch.eq(next.epoch),
            reconciler_term::beat.eq(next.beat),
        ))
        .execute(connection)
        .await?;
    Ok((written == 1).then_some(next))
}
