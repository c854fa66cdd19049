//! Who reconciles which node.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Answer, Conn};
use crate::domain::node::NodeName;
use crate::domain::term::{ReplicaId, Term};
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::schema::reconciler_term;
use crate::store::types::Id;

/// Lets no other term of the node than that of `epoch` begin until this transaction has ended. Its holder's signs of life go on
/// meanwhile, and so do other writers.
pub(super) async fn term_hold(connection: &mut Conn, node: &NodeName, epoch: i64) -> Answer<()> {
    let term = reconciler_term::table.find(node.as_str()).filter(reconciler_term::epoch.eq(epoch));
    let held: Option<i64> =
        lock!(term.select(reconciler_term::epoch), for_key_share).first(connection).await.optional()?;
    held.map(drop).ok_or(Fault::Refused(StoreError::Deposed))
}

/// Begins a term, once those who write in the last one have ended.
pub(super) async fn term_take(connection: &mut Conn, seen: &Term, holder: ReplicaId) -> Answer<Option<Term>> {
    if seen.epoch == 0 {
        let never =
            (reconciler_term::node.eq(seen.node.as_str()), reconciler_term::epoch.eq(0), reconciler_term::beat.eq(0));
        diesel::insert_into(reconciler_term::table).values(never).on_conflict_do_nothing().execute(connection).await?;
    }
    let term = reconciler_term::table.find(seen.node.as_str()).select(reconciler_term::epoch);
    let _: i64 = lock!(term, for_update).first(connection).await?;
    let next = Term { holder: Some(holder), epoch: seen.epoch + 1, beat: 0, ..seen.clone() };
    term_replace(connection, seen, next).await
}

/// That of a node that was never reconciled is nobody's.
pub(super) async fn term_current(connection: &mut Conn, node: &NodeName) -> Answer<Term> {
    let columns = (reconciler_term::holder, reconciler_term::epoch, reconciler_term::beat);
    let found: Option<(Option<Id>, i64, i64)> =
        reconciler_term::table.find(node.as_str()).select(columns).first(connection).await.optional()?;
    let (holder, epoch, beat) = found.unwrap_or_default();
    Ok(Term { node: node.clone(), holder: holder.map(|Id(id)| ReplicaId(id)), epoch, beat })
}

/// Writes `next` if the row still is `seen`.
pub(super) async fn term_replace(connection: &mut Conn, seen: &Term, next: Term) -> Answer<Option<Term>> {
    let written = diesel::update(reconciler_term::table.find(seen.node.as_str()))
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
