//! The instances that services have besides those that run them.

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use super::{Answer, Conn};
use crate::domain::id::ServiceId;
use crate::domain::instance::{Instance, Role};
use crate::domain::node::NodeName;
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::rows::InstanceRow;
use crate::store::schema::instances;
use crate::store::types::Id;

/// Those of a service, the newest role first.
pub(super) async fn instance_list(connection: &mut Conn, service: ServiceId) -> Answer<Vec<Instance>> {
    let rows: Vec<InstanceRow> = instances::table
        .filter(instances::service_id.eq(Id(service.0)))
        .select(InstanceRow::as_select())
        .order((instances::since.desc(), instances::id.desc()))
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(Instance::from).collect())
}

/// Those of several services, each service's with the newest role first.
pub(super) async fn instance_list_of(connection: &mut Conn, services: &[ServiceId]) -> Answer<Vec<Instance>> {
    let rows: Vec<InstanceRow> = instances::table
        .filter(instances::service_id.eq_any(services.iter().map(|service| Id(service.0))))
        .select(InstanceRow::as_select())
        .order((instances::since.desc(), instances::id.desc()))
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(Instance::from).collect())
}

/// Those on a node that check a backup, of all services.
pub(super) async fn instance_list_checking(connection: &mut Conn, node: &NodeName) -> Answer<Vec<Instance>> {
    let rows: Vec<InstanceRow> = instances::table
        .filter(instances::node.eq(node.as_str()))
        .filter(instances::role.eq(Role::Checking.as_str()))
        .select(InstanceRow::as_select())
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(Instance::from).collect())
}

pub(super) async fn instances_write(connection: &mut Conn, written: &[Instance]) -> Answer<()> {
    for instance in written {
        diesel::insert_into(instances::table)
            .values(InstanceRow::from(instance))
            .on_conflict(instances::id)
            .do_update()
            .set((
                instances::role.eq(excluded(instances::role)),
                instances::since.eq(excluded(instances::since)),
                instances::purge_at.eq(excluded(instances::purge_at)),
            ))
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Forgets instances that still have the roles in which they were read.
pub(super) async fn instances_forget(connection: &mut Conn, forgotten: &[Instance]) -> Answer<()> {
    for instance in forgotten {
        let read = instances::table.find(Id(instance.id.0)).filter(instances::role.eq(instance.role.as_str()));
        if diesel::delete(read).execute(connection).await? != 1 {
            return Err(Fault::Refused(StoreError::Stale));
        }
    }
    Ok(())
}
