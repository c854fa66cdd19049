//! The instances that are ready before anybody asks for them.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::term::term_hold;
use super::{Answer, Conn};
use crate::crypto::Sealed;
use crate::domain::id::InstanceId;
use crate::domain::node::NodeName;
use crate::domain::pool::{MemberState, PoolMember};
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::rows::pool::{NewPoolMemberRow, PoolMemberRow};
use crate::store::schema::{pool_members, reconciler_term};
use crate::store::types::{Id, Instant};

pub(super) async fn pool_list(connection: &mut Conn, node: &NodeName) -> Answer<Vec<PoolMember>> {
    let rows: Vec<PoolMemberRow> = pool_members::table
        .filter(pool_members::node.eq(node.as_str()))
        .select(PoolMemberRow::as_select())
        .order((pool_members::since, pool_members::id))
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(PoolMember::from).collect())
}

pub(super) async fn pool_find(
    connection: &mut Conn,
    node: &NodeName,
    made_of: &str,
) -> Answer<Option<(PoolMember, Sealed)>> {
    let found: Option<(PoolMemberRow, Vec<u8>)> = pool_members::table
        .inner_join(
            reconciler_term::table
                .on(reconciler_term::node.eq(pool_members::node).and(reconciler_term::epoch.eq(pool_members::seen_in))),
        )
        .filter(pool_members::node.eq(node.as_str()))
        .filter(pool_members::made_of.eq(made_of))
        .filter(pool_members::state.eq(MemberState::Ready.as_str()))
        .select((PoolMemberRow::as_select(), pool_members::sealed))
        .order((pool_members::since, pool_members::id))
        .first(connection)
        .await
        .optional()?;
    Ok(found.map(|(row, sealed)| (row.into(), Sealed::from_bytes(sealed))))
}

pub(super) async fn pool_get(connection: &mut Conn, id: InstanceId) -> Answer<Option<(PoolMember, Sealed)>> {
    let row = pool_members::table.find(Id(id.0)).select((PoolMemberRow::as_select(), pool_members::sealed));
    let found: Option<(PoolMemberRow, Vec<u8>)> = row.first(connection).await.optional()?;
    Ok(found.map(|(row, sealed)| (row.into(), Sealed::from_bytes(sealed))))
}

pub(super) async fn pool_add(connection: &mut Conn, member: &PoolMember, sealed: &Sealed) -> Answer<()> {
    term_hold(connection, &member.node, member.seen_in).await?;
    let row = NewPoolMemberRow::new(member, sealed);
    diesel::insert_into(pool_members::table).values(row).execute(connection).await?;
    Ok(())
}

pub(super) async fn pool_note(connection: &mut Conn, member: &PoolMember) -> Answer<bool> {
    term_hold(connection, &member.node, member.seen_in).await?;
    let changed = (
        pool_members::state.eq(member.state.as_str()),
        pool_members::seen_in.eq(member.seen_in),
        pool_members::since.eq(Instant::from(member.since)),
    );
    let row = pool_members::table.find(Id(member.id.0));
    Ok(diesel::update(row).set(changed).execute(connection).await? == 1)
}

pub(super) async fn pool_forget(connection: &mut Conn, node: &NodeName, epoch: i64, id: InstanceId) -> Answer<()> {
    term_hold(connection, node, epoch).await?;
    diesel::delete(pool_members::table.find(Id(id.0))).execute(connection).await?;
    Ok(())
}

/// Takes one that is ready out of the pool, for the service that is written in the same transaction.
pub(super) async fn pool_take(connection: &mut Conn, id: InstanceId) -> Answer<()> {
    let ready = pool_members::table.find(Id(id.0)).filter(pool_members::state.eq(MemberState::Ready.as_str()));
    match diesel::delete(ready).execute(connection).await? {
        1 => Ok(()),
        _ => Err(Fault::Refused(StoreError::Taken)),
    }
}
