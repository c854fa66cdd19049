//! What is asked of all services again and again: which have changed, and then those that did.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Answer, Conn};
use crate::domain::id::ServiceId;
use crate::domain::service::Service;
use crate::store::rows::ServiceRow;
use crate::store::schema::services;
use crate::store::types::Id;

pub(super) async fn service_list_revisions(connection: &mut Conn) -> Answer<Vec<(ServiceId, i64)>> {
    let active = services::table.filter(services::destroyed_at.is_null());
    let revisions = active.select((services::id, services::revision)).order(services::id);
    let rows: Vec<(Id, i64)> = revisions.load(connection).await?;
    Ok(rows.into_iter().map(|(id, revision)| (ServiceId(id.0), revision)).collect())
}

pub(super) async fn service_list_active_of(connection: &mut Conn, ids: &[ServiceId]) -> Answer<Vec<Service>> {
    let rows: Vec<ServiceRow> = services::table
        .filter(services::id.eq_any(ids.iter().map(|id| Id(id.0))))
        .filter(services::destroyed_at.is_null())
        .select(ServiceRow::as_select())
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(Service::from).collect())
}
