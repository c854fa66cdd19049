//! Who reconciles.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Answer, Conn};
use crate::domain::term::{ReplicaId, Term};
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::schema::reconciler_term;
use crate::store::types::Id;

/// Lets no other term than that of `epoch` begin until this transaction has ended.
pub(super) async fn term_hold(connection: &mut Conn, epoch: i64) -> Answer<()> {
    // An update that changes nothing: it locks the row.
    let held = diesel::update(reconciler_term::table.filter(reconciler_term::epoch.eq(epoch)))
        .set(reconciler_term::epoch.eq(epoch))
        .execute(connection)
        .await?;
    if held == 0 { Err(Fault::Refused(StoreError::Deposed)) } else { Ok(()) }
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
