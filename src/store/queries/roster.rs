//! What is asked of all services again and again: which have changed, and then those that did.

use diesel::prelude::*;

use super::{Answer, Conn};
use crate::domain::id::ServiceId;
use crate::domain::node::NodeName;
use crate::domain::service::Service;
use crate::store::rows::ServiceRow;
use crate::store::schema::services;
use crate::store::types::Id;

pub(super) async fn service_list_revisions(connection: &mut Conn, node: &NodeName) -> Answer<Vec<(ServiceId, i64)>> {
    let node = node.as_str().to_owned();
    let active = services::table.filter(services::node.eq(node)).filter(services::destroyed_at.is_null());
    let revisions = active.select((services::id, services::revision)).order(services::id);
    let rows: Vec<(Id, i64)> = rows!(connection, revisions)?;
    Ok(rows.into_iter().map(|(id, revision)| (ServiceId(id.0), revision)).collect())
}

pub(super) async fn service_list_active_of(connection: &mut Conn, ids: &[ServiceId]) -> Answer<Vec<Service>> {
    let of_those = services::table
        .filter(services::id.eq_any(ids.iter().map(|id| Id(id.0)).collect::<Vec<_>>()))
        .filter(services::destroyed_at.is_null());
    let rows: Vec<ServiceRow> = rows!(connection, of_those.select(ServiceRow::as_select()))?;
    Ok(rows.into_iter().map(Service::from).collect())
}
