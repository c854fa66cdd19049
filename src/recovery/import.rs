//! Services and backups that the database does not know, as their manifests tell of them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::RecoveryError;
use super::bring::Recovery;
use crate::catalog::free_port;
use crate::clock::now;
use crate::domain::backup::{Backup, BackupOrigin, BackupState};
use crate::domain::event::NewEvent;
use crate::domain::id::{InstanceId, ProjectId, ServiceId};
use crate::domain::name::ServiceName;
use crate::domain::service::{Address, Power, Service, ServiceState, Wish};
use crate::repository::{Found, Manifest, Secret};
use crate::store::{NewService, StoreError, Write};

/// A manifest whose content is whole, and what is sealed in it.
pub(super) type Whole<'a> = (&'a Manifest, &'a Secret);

/// The backups of a service that something can be made of, the newest first.
pub(super) fn whole(backups: &[Found<Manifest>]) -> impl Iterator<Item = Whole<'_>> {
    backups
        .iter()
        .filter(|found| found.is_whole)
        .filter_map(|found| Some((&found.manifest, found.secret.as_ref().ok()?)))
}

/// What was not known before: services, and backups.
#[derive(Default)]
pub(super) struct Imported {
    pub services: usize,
    pub backups: usize,
}

impl Recovery<'_> {
    /// Has the database know every service and every backup that there is a manifest of. What can't be is added to `skipped`.
    pub(super) async fn import(&self, skipped: &mut Vec<String>) -> Result<Imported, RecoveryError> {
        let mut imported = Imported::default();
        let mut names: BTreeMap<(ProjectId, String), Vec<ServiceId>> = BTreeMap::new();
        // The order of ids is that of creation: of two services of one name the first had been destroyed when the other
        // one was made.
        for (id, backups) in &self.installation.services {
            for found in backups.iter().filter(|found| !found.is_whole || found.secret.is_err()) {
                let why = found.secret.as_ref().err().map(ToString::to_string);
                let why = why.unwrap_or_else(|| "its content is truncated or gone".to_owned());
                skipped.push(format!("{}: {why}", found.manifest.object));
            }
            let Some((newest, _)) = whole(backups).next() else { continue };
            names.entry((newest.project.clone(), newest.service_name.clone())).or_default().push(*id);
        }
        for ids in names.into_values() {
            for (place, id) in ids.iter().enumerate() {
                let backups = &self.installation.services[id];
                let Some(newest) = whole(backups).next() else { continue };
                let known = match self.store.service_get(*id).await? {
                    Some(known) => known,
                    None => {
                        let Some(new) = self.create(newest, skipped).await? else { continue };
                        imported.services += 1;
                        new
                    }
                };
                if known.node != self.node {
                    continue;
                }
                // One that the database knew otherwise is none of ours to end.
                if place + 1 < ids.len() && is_imported(&known) {
                    self.bury(&known).await?;
                }
                imported.backups += self.import_backups(*id, backups).await?;
            }
        }
        Ok(imported)
    }

    /// Makes a service as it was when its backup was taken. Until it is told to restore that, it counts as one whose data is
    /// gone, so that nobody makes an empty one of it.
    async fn create(
        &self,
        (manifest, secret): Whole<'_>,
        skipped: &mut Vec<String>,
    ) -> Result<Option<Service>, RecoveryError> {
        let id = manifest.service;
        let name: ServiceName = match manifest.service_name.parse() {
            Ok(name) => name,
            Err(error) => {
                skipped.push(format!("{}: its service's name is none: {error}", manifest.object));
                return Ok(None);
            }
        };
        let published = match &self.publishing {
            Some(publishing) => free_port(publishing, manifest.kind, &self.store.port_list().await?, id.0.as_u128()),
            None => None,
        };
        let wish =
            Wish { kind: manifest.kind, version: manifest.version.clone(), tier: manifest.tier, power: Power::On };
        let address = Address { hostname: format!("{name}-{}", id.suffix()), published };
        let created_at = created_at(id).unwrap_or(manifest.begun_at);
        let mut service = Service::accepted(id, (manifest.project.clone(), name), wish, address, created_at);
        service.operation = None;
        service.node = self.node.clone();
        service.evidence.initialised = true;
        let new = NewService {
            sealed: self.sealer.seal(id, &secret.access)?,
            tasks: Vec::new(),
            member: None,
            idempotency: None,
            // What was accepted once is no request.
            quota: u32::MAX,
            room: None,
            service,
        };
        let event = NewEvent::recovered(&new.service, now());
        match self.store.service_create(&new, &event).await {
            Ok(_) => Ok(self.store.service_get(id).await?),
            Err(StoreError::NameTaken) => {
                let (project, name) = (&new.service.project, &new.service.name);
                skipped.push(format!("{}: the project {project} has another service {name}", manifest.object));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn bury(&self, service: &Service) -> Result<(), RecoveryError> {
        let now = now();
        let mut after = service.clone();
        after.generation += 1;
        (after.wish.power, after.state) = (Power::Deleted, ServiceState::Destroyed);
        (after.operation, after.error) = (None, None);
        let event = NewEvent::known_destroyed(service, now);
        let write = Write { service: Some(&after), event: Some(&event), ..Write::new(self.guard(service), now) };
        self.commit(write).await
    }

    /// Those that are not known, and those that were under way when the database was copied and are whole.
    async fn import_backups(&self, id: ServiceId, backups: &[Found<Manifest>]) -> Result<usize, RecoveryError> {
        let Some(service) = self.store.service_get(id).await?.filter(|service| service.understood) else {
            return Ok(0);
        };
        let mut rows = Vec::new();
        for (manifest, _) in whole(backups) {
            match self.store.backup_get(manifest.backup).await? {
                Some(known) if !known.state.is_open() => {}
                known => rows.extend(row(&service, manifest, known)),
            }
        }
        if !rows.is_empty() {
            self.commit(Write { backups: &rows, ..Write::new(self.guard(&service), now()) }).await?;
        }
        Ok(rows.len())
    }
}

/// Whether nothing has been done about it since it was made of a manifest.
fn is_imported(service: &Service) -> bool {
    service.state == ServiceState::Pending && service.operation.is_none() && service.evidence.initialised
}

/// A backup as its manifest tells of it; None where its service's name is none. What somebody asked for is never removed by
/// itself, and so is one of which nobody knows. One that its service was to end with has nothing to end any more.
fn row(service: &Service, manifest: &Manifest, known: Option<Backup>) -> Option<Backup> {
    let new = || Backup::new(manifest.backup, service, BackupOrigin::Manual, manifest.note.clone(), manifest.begun_at);
    let row = known.unwrap_or_else(new);
    let is_verified = manifest.verification.is_some();
    let origin = match manifest.origin.unwrap_or(row.origin) {
        BackupOrigin::Final if !is_verified => BackupOrigin::Manual,
        BackupOrigin::Unknown => BackupOrigin::Manual,
        origin => origin,
    };
    Some(Backup {
        service_name: manifest.service_name.parse().ok()?,
        kind: manifest.kind,
        version: manifest.version.clone(),
        tier: manifest.tier,
        origin,
        state: if is_verified { BackupState::Verified } else { BackupState::Available },
        phase: None,
        content_bytes: manifest.written.content_bytes,
        stored_bytes: Some(manifest.written.stored_bytes),
        object: Some(manifest.object.clone()),
        to_verify: false,
        verification: manifest.verification.clone(),
        attempts: 0,
        not_before: None,
        error: None,
        instance: manifest.instance.map(InstanceId).or(row.instance),
        begun_at: Some(manifest.begun_at),
        ended_at: Some(manifest.ended_at),
        ..row
    })
}

/// When an id was made, which a UUID of version 7 tells.
fn created_at(id: ServiceId) -> Option<Timestamp> {
    let (seconds, nanoseconds) = id.0.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::backup::Verification;
    use crate::domain::lifecycle::tests::service;

    #[test]
    fn policies_end_what_they_took_and_nobody_ends_a_service_that_came_back() {
        let service = service(ServiceState::Running, Power::On);
        let id = "00000000000000000000000000000001";
        let manifest: Manifest = serde_json::from_value(json!({
            "format": 1, "backup": format!("bkp_{id}"), "service": service.id.to_string(), "service_name": "db",
            "project": "demo", "installation": id, "kind": "REDIS", "version": "7",
            "tier": {"tier": "DEV", "memory_mib": 64, "cpu_millis": 250, "storage_mib": 512}, "content": "redis-rdb",
            "facts": {}, "begun_at": "2026-03-04T05:06:07Z", "ended_at": "2026-03-04T05:06:08Z", "note": null,
            "written": {"content_bytes": 1, "stored_bytes": 2, "sha256": ""}, "object": "demo/db/at",
        }))
        .unwrap();
        let verification = Verification { verified_at: manifest.ended_at, ..Verification::default() };
        let brought = |origin, verification: Option<&Verification>, known| {
            let told = Manifest { origin, verification: verification.cloned(), ..manifest.clone() };
            let row = row(&service, &told, known).unwrap();
            assert_eq!(row.verification.as_ref(), verification);
            (row.origin, row.state)
        };
        use {BackupOrigin as Of, BackupState as S};
        assert_eq!(brought(None, None, None), (Of::Manual, S::Available), "as an earlier version has written it");
        assert_eq!(brought(Some(Of::Scheduled), None, None), (Of::Scheduled, S::Available));
        assert_eq!(brought(Some(Of::Scheduled), Some(&verification), None), (Of::Scheduled, S::Verified));
        assert_eq!(brought(Some(Of::Unknown), None, None), (Of::Manual, S::Available));
        assert_eq!(brought(Some(Of::Final), Some(&verification), None), (Of::Final, S::Verified));
        // One that is verified for the first time would take its service along.
        assert_eq!(brought(Some(Of::Final), None, None), (Of::Manual, S::Available));
        let running =
            |origin| Backup { state: S::Running, ..Backup::new(manifest.backup, &service, origin, None, now()) };
        assert_eq!(brought(None, None, Some(running(Of::Final))), (Of::Manual, S::Available));
        assert_eq!(brought(None, None, Some(running(Of::Scheduled))), (Of::Scheduled, S::Available));
    }
}
