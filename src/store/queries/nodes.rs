//! Nodes, and what is placed on them.

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use super::{Answer, Conn};
use crate::domain::id::ProjectId;
use crate::domain::node::{Capacity, NodeName, NodeRecord, Promised};
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::rows::node::{NodeRow, PromisedRow};
use crate::store::schema::{nodes, services};
use crate::store::types::Word;

/// By the index `services_promised`.
const PROMISED: &str = "SELECT node, COUNT(*) AS services, CAST(COALESCE(SUM(memory_mib), 0) AS BIGINT) AS memory_mib, \
    CAST(COALESCE(SUM(cpu_millis), 0) AS BIGINT) AS cpu_millis, \
    CAST(COALESCE(SUM(storage_mib), 0) AS BIGINT) AS storage_mib FROM services WHERE destroyed_at IS NULL";

pub(super) async fn node_list(connection: &mut Conn) -> Answer<Vec<NodeRecord>> {
    let rows: Vec<NodeRow> = nodes::table.select(NodeRow::as_select()).order(nodes::name).load(connection).await?;
    Ok(rows.into_iter().map(NodeRecord::from).collect())
}

/// What operators have said of the node stays.
pub(super) async fn node_note(connection: &mut Conn, seen: &NodeRecord) -> Answer<()> {
    let row = NodeRow::from(seen);
    let changed = (
        nodes::away_since.eq(row.away_since),
        nodes::capacity.eq(row.capacity.clone()),
        nodes::engine.eq(row.engine.clone()),
    );
    diesel::insert_into(nodes::table)
        .values(row)
        .on_conflict(nodes::name)
        .do_update()
        .set(changed)
        .execute(connection)
        .await?;
    Ok(())
}

/// Tells whether there is one of that name.
pub(super) async fn node_cordon(connection: &mut Conn, name: &NodeName, cordoned: bool) -> Answer<bool> {
    let row = nodes::table.find(name.as_str());
    Ok(diesel::update(row).set(nodes::cordoned.eq(cordoned)).execute(connection).await? == 1)
}

pub(super) async fn promised_list(connection: &mut Conn) -> Answer<Vec<(NodeName, Promised)>> {
    let query = diesel::sql_query(format!("{PROMISED} GROUP BY node"));
    let rows: Vec<PromisedRow> = query.load(connection).await?;
    Ok(rows.into_iter().map(PromisedRow::into_parts).collect())
}

/// Refuses what the node has no room for beside what is promised there by now. Until the transaction ends nobody else is
/// promised anything there.
pub(super) async fn room_hold(connection: &mut Conn, name: &NodeName, capacity: &Capacity) -> Answer<()> {
    let node = nodes::table.find(name.as_str()).select(nodes::name);
    let _: Option<String> = lock!(node, for_no_key_update).first(connection).await.optional()?;
    let query = diesel::sql_query(format!("{PROMISED} AND node = $1 GROUP BY node")).bind::<Text, _>(name.as_str());
    let rows: Vec<PromisedRow> = query.load(connection).await?;
    let promised =
        rows.into_iter().next().map(PromisedRow::into_parts).map_or(Promised::default(), |(_, promised)| promised);
    match capacity.lacks(&promised) {
        Some(what) => Err(Fault::Refused(StoreError::NoRoom(what))),
        None => Ok(()),
    }
}

pub(super) async fn service_count_by_node(connection: &mut Conn, project: &ProjectId) -> Answer<Vec<(NodeName, u64)>> {
    let counts: Vec<(Word<NodeName>, i64)> = services::table
        .filter(services::project_id.eq(project.as_str()))
        .filter(services::destroyed_at.is_null())
        .group_by(services::node)
        .select((services::node, diesel::dsl::count_star()))
        .load(connection)
        .await?;
    Ok(counts.into_iter().map(|(node, count)| (node.value, count.unsigned_abs())).collect())
}
