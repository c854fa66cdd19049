//! Sealed credentials, which leave their rows by these queries alone.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Answer, Conn};
use crate::crypto::Sealed;
use crate::domain::id::ServiceId;
use crate::store::rows::SealedChange;
use crate::store::schema::services;
use crate::store::types::Id;

pub(super) async fn sealed_get(connection: &mut Conn, id: ServiceId) -> Answer<Option<Sealed>> {
    let sealed: Option<Option<Vec<u8>>> =
        services::table.find(Id(id.0)).select(services::sealed).first(connection).await.optional()?;
    Ok(sealed.flatten().map(Sealed::from_bytes))
}

pub(super) async fn sealed_list_of(connection: &mut Conn, of: &[ServiceId]) -> Answer<Vec<(ServiceId, Sealed)>> {
    let rows: Vec<(Id, Vec<u8>)> = services::table
        .filter(services::id.eq_any(of.iter().map(|service| Id(service.0))))
        .filter(services::sealed.is_not_null())
        .select((services::id, services::sealed.assume_not_null()))
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(|(Id(id), sealed)| (ServiceId(id), Sealed::from_bytes(sealed))).collect())
}

pub(super) async fn sealed_samples(
    connection: &mut Conn,
    limit: u32,
) -> Answer<Vec<(String, Vec<(ServiceId, Sealed)>)>> {
    // Those that are DESTROYED have none; said so that the index `services_active` is taken, which has no history.
    let keys: Vec<String> = services::table
        .filter(services::destroyed_at.is_null())
        .filter(services::sealed_key_id.is_not_null())
        .select(services::sealed_key_id.assume_not_null())
        .distinct()
        .order(services::sealed_key_id.assume_not_null())
        .load(connection)
        .await?;
    let mut samples = Vec::new();
    for key in keys {
        let rows: Vec<(Id, Vec<u8>)> = services::table
            .filter(services::destroyed_at.is_null())
            .filter(services::sealed_key_id.eq(&key))
            .filter(services::sealed.is_not_null())
            .select((services::id, services::sealed.assume_not_null()))
            .order(services::id.desc())
            .limit(limit.into())
            .load(connection)
            .await?;
        let sealed = rows.into_iter().map(|(Id(id), sealed)| (ServiceId(id), Sealed::from_bytes(sealed))).collect();
        samples.push((key, sealed));
    }
    Ok(samples)
}

pub(super) async fn sealed_list_other(
    connection: &mut Conn,
    key_id: &str,
    after: Option<ServiceId>,
    limit: u32,
) -> Answer<Vec<(ServiceId, Sealed)>> {
    let mut query = services::table
        .filter(services::destroyed_at.is_null())
        .filter(services::sealed_key_id.ne(key_id))
        .select((services::id, services::sealed.assume_not_null()))
        .order(services::id)
        .limit(limit.into())
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(services::id.gt(Id(after.0)));
    }
    let rows: Vec<(Id, Vec<u8>)> = query.load(connection).await?;
    Ok(rows.into_iter().map(|(Id(id), sealed)| (ServiceId(id), Sealed::from_bytes(sealed))).collect())
}

pub(super) async fn sealed_replace(connection: &mut Conn, id: ServiceId, old: &Sealed, new: &Sealed) -> Answer<bool> {
    let written = diesel::update(services::table.find(Id(id.0)))
        .filter(services::sealed.eq(old.as_bytes()))
        .set(SealedChange::from(new))
        .execute(connection)
        .await?;
    Ok(written == 1)
}
