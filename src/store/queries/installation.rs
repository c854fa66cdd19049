//! The one row that names the installation, and what proves that the database takes changes.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Answer, Conn};
use crate::domain::id::InstallationId;
use crate::store::schema::{installation, store_probes};
use crate::store::types::Id;

/// Both are one row's: what others write at the same time is not waited for.
pub(super) async fn probe(connection: &mut Conn) -> Answer<()> {
    let id = Id(uuid::Uuid::now_v7());
    diesel::insert_into(store_probes::table).values(store_probes::id.eq(id)).execute(connection).await?;
    diesel::delete(store_probes::table.find(id)).execute(connection).await?;
    Ok(())
}

pub(super) async fn installation_find(connection: &mut Conn) -> Answer<Option<InstallationId>> {
    let id = installation::table.select(installation::id).first::<Id>(connection).await.optional()?;
    Ok(id.map(|Id(id)| InstallationId(id)))
}

pub(super) async fn installation_ensure(connection: &mut Conn, id: InstallationId) -> Answer<InstallationId> {
    let row = (installation::only_row.eq(1), installation::id.eq(Id(id.0)));
    diesel::insert_into(installation::table).values(row).on_conflict_do_nothing().execute(connection).await?;
    let Id(id) = installation::table.select(installation::id).first(connection).await?;
    Ok(InstallationId(id))
}
