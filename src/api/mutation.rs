//! Changing things. A mutation answers once its wish is durable, not once it is fulfilled.

use async_graphql::{Context, Object};

use super::app;
use super::error::Result;
use super::guard::{Authenticated, viewer};
use super::types::backup::Backup;
use super::types::cluster_node::{CordonNodePayload, NodeInput, UncordonNodePayload};
use super::types::console::{RedisKey, parse_key};
use super::types::credential::Credential;
use super::types::date_time::DateTime;
use super::types::ids::{parse_backup, parse_project, parse_service};
use super::types::inputs::{
    BackupInput, CloneServiceInput, CreateBackupInput, DestroyProjectInput, ExportServiceInput, ProvisionServiceInput,
    ReadKeyInput, RepairServiceInput, ResizeServiceInput, Restore, RestoreServiceInput, RevertServiceInput,
    RunSqlInput, ScanKeysInput, ServiceInput, SetBackupPolicyInput, SetDeletionProtectionInput, SetExpiryInput,
    UpdateImageInput, UpgradeServiceInput,
};
use super::types::payloads::{
    CloneServicePayload, CreateBackupPayload, DeleteBackupPayload, DestroyProjectPayload, DestroyServicePayload,
    ExportServicePayload, ProvisionServicePayload, ReadKeyPayload, RepairServicePayload, ResizeServicePayload,
    RestartServicePayload, RestoreServicePayload, RevealCredentialsPayload, RevertServicePayload,
    RotateCredentialsPayload, RunSqlPayload, ScanKeysPayload, SetBackupPolicyPayload, SetDeletionProtectionPayload,
    SetExpiryPayload, StartServicePayload, StopServicePayload, UpdateImagePayload, UpgradeServicePayload,
    VerifyBackupPayload,
};
use super::types::service::Service;
use super::types::service_event::ServiceEvent;
use crate::app::Committed;
use crate::domain::lifecycle::ServiceAction;

pub struct Mutation;

/// What can be changed. A mutation returns as soon as it is accepted and durable; the work goes on behind it. Watch
/// `serviceChanged` to see it happen. A field is null where it failed, and `errors` says why; the others of the same
/// document have happened all the same, one after the other.
#[Object(guard = "Authenticated")]
impl Mutation {
    /// Creates a service and returns it at once, in PENDING. Needs the permission `project:settings`.
    async fn provision_service(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to provision, and where.")] input: ProvisionServiceInput,
    ) -> Result<Option<ProvisionServicePayload>> {
        let (service, event) = told(app(ctx).provision(viewer(ctx)?, input.parse()?).await?);
        Ok(Some(ProvisionServicePayload { service, event }))
    }

    /// Starts a stopped service, or one in ERROR, with the data it had. Needs the permission `project:settings`.
    async fn start_service(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to start.")] input: ServiceInput,
    ) -> Result<Option<StartServicePayload>> {
        let (service, event) = act(ctx, &input, ServiceAction::Start).await?;
        Ok(Some(StartServicePayload { service, event }))
    }

    /// Shuts a service down cleanly and keeps its data. Needs the permission `project:settings`.
    async fn stop_service(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to stop.")] input: ServiceInput,
    ) -> Result<Option<StopServicePayload>> {
        let (service, event) = act(ctx, &input, ServiceAction::Stop).await?;
        Ok(Some(StopServicePayload { service, event }))
    }

    /// Stops a service and starts it again with the data it had. Needs the permission `project:settings`.
    async fn restart_service(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to restart.")] input: ServiceInput,
    ) -> Result<Option<RestartServicePayload>> {
        let (service, event) = act(ctx, &input, ServiceAction::Restart).await?;
        Ok(Some(RestartServicePayload { service, event }))
    }

    /// Removes a service and its data for good. A CONFLICT while the service is protected from that, see
    /// `setDeletionProtection`.
    ///
    /// With `finalBackup` a running service is backed up once more first, and removed once that backup is VERIFIED, which its
    /// events tell; what is written to it after the backup was begun goes with it. Where that backup fails, or is deleted, the
    /// service stays. Needs the permission `project:delete`.
    async fn destroy_service(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to destroy.")] input: ServiceInput,
    ) -> Result<Option<DestroyServicePayload>> {
        let id = parse_service("id", &input.id)?;
        let (app, viewer) = (app(ctx), viewer(ctx)?);
        let destroyed = match input.final_backup {
            Some(true) => app.destroy_after_backup(viewer, id).await?,
            _ => app.act(viewer, id, ServiceAction::Destroy).await?,
        };
        let (service, event) = told(destroyed);
        Ok(Some(DestroyServicePayload { service, event }))
    }

    /// Removes all services of a project and their data for good, such as when the project itself is deleted. Where some are
    /// protected from that, it is a CONFLICT that names them, and nothing is done, unless with `force`. They are asked for one
    /// after the other: where it fails half-way, send it again, and it goes on. With `finalBackup` each is backed up once more first,
    /// and removed once that backup is VERIFIED; where some can't be, because they don't run or something else is under way, it is a
    /// CONFLICT that names them, and nothing is done. Needs the permission `project:delete`.
    async fn destroy_project(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The project whose services to destroy.")] input: DestroyProjectInput,
    ) -> Result<Option<DestroyProjectPayload>> {
        let project = parse_project("projectId", &input.project_id)?;
        let services = app(ctx).destroy_project(viewer(ctx)?, &project, input.ending()?).await?;
        Ok(Some(DestroyProjectPayload { services: services.into_iter().map(Service::from).collect() }))
    }

    /// Protects a service from being destroyed, or takes that back. While it is protected, `destroyService` is a CONFLICT. So is
    /// protecting one that has an expiry, or that is being destroyed. Needs the permission `project:settings`.
    async fn set_deletion_protection(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service, and whether to protect it.")] input: SetDeletionProtectionInput,
    ) -> Result<Option<SetDeletionProtectionPayload>> {
        let id = parse_service("id", &input.id)?;
        let (service, event) = told(app(ctx).set_protection(viewer(ctx)?, id, input.enabled).await?);
        Ok(Some(SetDeletionProtectionPayload { service, event }))
    }

    /// Has a service destroyed by itself at a time, with its data, or never. An event says so an hour before; one that is set to
    /// less than an hour ahead is told by the event of this call alone. A service that is protected from being destroyed can't
    /// have an expiry, which is a CONFLICT, and so is one that is being destroyed. Needs the permission `project:settings`.
    async fn set_expiry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service, and when to destroy it.")] input: SetExpiryInput,
    ) -> Result<Option<SetExpiryPayload>> {
        let id = parse_service("id", &input.id)?;
        let (service, event) = told(app(ctx).set_expiry(viewer(ctx)?, id, input.at()?).await?);
        Ok(Some(SetExpiryPayload { service, event }))
    }

    /// A service's credentials in clear. That you revealed them becomes an event of the service. Needs the permission
    /// `project:settings`.
    async fn reveal_credentials(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service whose credentials to reveal.")] input: ServiceInput,
    ) -> Result<Option<RevealCredentialsPayload>> {
        let id = input.parse()?;
        let (committed, credentials) = app(ctx).reveal(viewer(ctx)?, id).await?;
        let (service, event) = told(committed);
        let credentials = credentials.into_iter().map(Credential::Revealed).collect();
        Ok(Some(RevealCredentialsPayload { service, event, credentials }))
    }

    /// Changes a running service's password to a new random one; its user, database, host and port stay. The service
    /// runs on. With LIVE_ROTATION among the `abilities` of its kind, connections that are open stay open; with
    /// ROTATION_BY_RESTART the server inside begins anew, and they end. New ones need the new password: reveal the credentials once
    /// the operation is over, and give the new values to your preview containers. Until then connecting may fail for a
    /// moment. If the service is stopped in between, it is done when it runs again; if the server inside refuses, `error`
    /// says why, it is tried on, and calling this again tries it at once. Needs the permission `project:settings`.
    async fn rotate_credentials(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service whose password to change.")] input: ServiceInput,
    ) -> Result<Option<RotateCredentialsPayload>> {
        let (service, event) = act(ctx, &input, ServiceAction::RotateCredentials).await?;
        Ok(Some(RotateCredentialsPayload { service, event }))
    }

    /// Gives a service another size; its data, host, port and password stay. A size that holds less than what is there is
    /// refused with a CONFLICT that says both. One that is stopped has it from its next start on. Needs the permission
    /// `project:settings`.
    async fn resize_service(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to resize, and how.")] input: ResizeServiceInput,
    ) -> Result<Option<ResizeServicePayload>> {
        let id = parse_service("id", &input.id)?;
        let resized = app(ctx).resize(viewer(ctx)?, id, input.tier.into(), input.apply.into()).await?;
        let (service, event) = told(resized);
        Ok(Some(ResizeServicePayload { service, event }))
    }

    /// Gets a user back into a service who has locked himself out: puts the kind's own settings, port, user and password back, with
    /// a container that is made anew. Its data stays; connections are ended. PostgreSQL: what ALTER SYSTEM has set is put aside
    /// (`postgresql.auto.conf.before-repair`), who may connect is as at first, and the user can log in with its password, owns
    /// its database and may do what it could at first. Redis: what CONFIG and ACL have set is gone. Needs the permission `project:settings`.
    async fn repair_service(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to repair.")] input: RepairServiceInput,
    ) -> Result<Option<RepairServicePayload>> {
        let id = parse_service("id", &input.id)?;
        let (service, event) = told(app(ctx).act(viewer(ctx)?, id, ServiceAction::Repair).await?);
        Ok(Some(RepairServicePayload { service, event }))
    }

    /// Brings a running service to a later version, one of its `upgradesTo`. A copy of its data is made in an instance of that
    /// version beside it, and compared; then the service runs on with the copy, with the host, port, user and password that it
    /// has. While the data is being copied it answers and takes no writes, and open connections are ended at the beginning and
    /// at the end. If it fails, or the service is stopped, restarted or destroyed meanwhile, the service is what it was; `error`
    /// says why with UPGRADE_FAILED, beside RUNNING, until it is asked for again or the service is stopped or restarted. What it was
    /// before is kept for a while, see `Service.replaced`. The same version and an earlier one are a CONFLICT. Needs the
    /// permission `project:settings`.
    async fn upgrade_service(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service, and the version to bring it to.")] input: UpgradeServiceInput,
    ) -> Result<Option<UpgradeServicePayload>> {
        let id = parse_service("id", &input.id)?;
        let (service, event) = told(app(ctx).upgrade(viewer(ctx)?, id, &input.version).await?);
        Ok(Some(UpgradeServicePayload { service, event }))
    }

    /// Has a service go back to what it was before its last upgrade or restore in place, its data included. What was written
    /// since stays with what it was until now, which is kept in turn. Calling this again goes back further, where what it was before
    /// that is kept as well, and otherwise to the last again, so that it comes round to each. A CONFLICT where nothing is kept. Needs
    /// the permission `project:settings`.
    async fn revert_service(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service that is to go back.")] input: RevertServiceInput,
    ) -> Result<Option<RevertServicePayload>> {
        let id = parse_service("id", &input.id)?;
        let (service, event) = told(app(ctx).revert(viewer(ctx)?, id).await?);
        Ok(Some(RevertServicePayload { service, event }))
    }

    /// Pulls the image of a service's version, and restarts the service from it where it is another one than it runs from: a minor
    /// version, as a rule. Its data, host, port and password stay. If the image can't be pulled, `error` says so beside RUNNING. One
    /// in ERROR is tried again with it. Needs the permission `project:settings`.
    async fn update_image(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service whose image to update.")] input: UpdateImageInput,
    ) -> Result<Option<UpdateImagePayload>> {
        let id = parse_service("id", &input.id)?;
        let (service, event) = told(app(ctx).update_image(viewer(ctx)?, id).await?);
        Ok(Some(UpdateImagePayload { service, event }))
    }

    /// Takes a backup of a running service, which runs on; returns at once, with the backup in PENDING. It is compressed and
    /// encrypted on its way to where backups are kept. One that is under way already is given back. Needs the permission
    /// `project:settings`.
    async fn create_backup(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to back up.")] input: CreateBackupInput,
    ) -> Result<Option<CreateBackupPayload>> {
        let id = parse_service("id", &input.id)?;
        let asked = app(ctx).create_backup(viewer(ctx)?, id, input.note).await?;
        Ok(Some(CreateBackupPayload { backup: Backup(asked.backup), event: asked.event.map(ServiceEvent::from) }))
    }

    /// Has a service backed up by itself, by a schedule, or not any more. One that is stopped is backed up once it runs again, and
    /// what was missed otherwise is made up for once. Backups that the policy keeps no longer go with the next one that is whole.
    /// Needs the permission `project:settings`.
    async fn set_backup_policy(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service, when to back it up, and what to keep of that.")] input: SetBackupPolicyInput,
    ) -> Result<Option<SetBackupPolicyPayload>> {
        let id = parse_service("id", &input.id)?;
        let (service, event) = told(app(ctx).set_backup_policy(viewer(ctx)?, id, &input.parse()?).await?);
        Ok(Some(SetBackupPolicyPayload { service, event }))
    }

    /// Restores a backup once, into an instance without a network that is removed again, and reads all of it: then it is VERIFIED,
    /// or FAILED. Needs the permission `project:settings`.
    async fn verify_backup(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The backup to verify.")] input: BackupInput,
    ) -> Result<Option<VerifyBackupPayload>> {
        let id = parse_backup("backupId", &input.backup_id)?;
        let asked = app(ctx).verify_backup(viewer(ctx)?, id).await?;
        Ok(Some(VerifyBackupPayload { backup: Backup(asked.backup), event: asked.event.map(ServiceEvent::from) }))
    }

    /// Removes a backup for good, from where it is kept as well. Needs the permission `project:delete`.
    async fn delete_backup(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The backup to remove.")] input: BackupInput,
    ) -> Result<Option<DeleteBackupPayload>> {
        let id = parse_backup("backupId", &input.backup_id)?;
        let asked = app(ctx).delete_backup(viewer(ctx)?, id).await?;
        Ok(Some(DeleteBackupPayload { backup: Backup(asked.backup), event: asked.event.map(ServiceEvent::from) }))
    }

    /// Restores a backup or, with `id` and `at`, what a service held at a moment of its `recoveryWindow`. Into `newService`: makes a service of it, with the backup's version, user and database and a password of
    /// its own; also in another project of yours. It comes to RUNNING only with all that the backup holds: until then, and where
    /// that fails, it is never an empty database. Needs the permission `project:settings` in both projects.
    ///
    /// `inPlace`: the service that the backup is of is what it was then, with the id, address and credentials that it has. It has
    /// to be RUNNING or in ERROR, and is RUNNING afterwards. A service that runs goes on until the data is there, and is then
    /// started anew with it; until then, and where that fails, it is what it was, with a RESTORE_FAILED beside that. What was
    /// written since the backup is in what it was, which is kept for some days: `revertService` goes back to it. One such is kept:
    /// to try another backup go back first, or what it was before the first is lost. A backup that was taken before an upgrade
    /// brings back the version as well. A stop, restart or removal of the service ends it. Needs the permission `project:delete`.
    async fn restore_service(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to restore, and into what.")] input: RestoreServiceInput,
    ) -> Result<Option<RestoreServicePayload>> {
        let (service, event) = told(match input.parse()? {
            Restore::IntoNew(request) => app(ctx).restore_into_new(viewer(ctx)?, request).await?,
            Restore::InPlace(from) => app(ctx).restore_in_place(viewer(ctx)?, from).await?,
        });
        Ok(Some(RestoreServicePayload { service, event }))
    }

    /// Makes a new service that has what a running one holds, with its version, user and database and a password of its own; also
    /// in another project of yours, and for a preview that goes by itself, with `expiresAt`. The source serves on; the clone has
    /// all that was committed there before, and up to some moment after, you asked for it. It comes to RUNNING only with
    /// all of that: until then, and where that fails, it is never an empty database. Needs the permission `project:settings` in
    /// both projects.
    async fn clone_service(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to clone, and what the clone is to be.")] input: CloneServiceInput,
    ) -> Result<Option<CloneServicePayload>> {
        let (service, event) = told(app(ctx).clone_service(viewer(ctx)?, input.parse()?).await?);
        Ok(Some(CloneServicePayload { service, event }))
    }

    /// Gives a link to a file of all that a running service holds, in a form of its own tools: of PostgreSQL its database, which
    /// `pg_restore` reads, of Redis a snapshot in RDB format. The file is made while it is downloaded; where that fails half-way,
    /// the connection is broken off. That you asked for it becomes an event. It is no backup: it has no checksum, and nobody
    /// verifies it. Needs the permission `project:settings`.
    async fn export_service(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to download all of.")] input: ExportServiceInput,
    ) -> Result<Option<ExportServicePayload>> {
        let id = parse_service("id", &input.id)?;
        let link = app(ctx).ask_for_export(viewer(ctx)?, id).await?;
        let (service, event) = told(link.committed);
        let path = format!("/exports/{}", link.ticket);
        Ok(Some(ExportServicePayload { service, path, expires_at: DateTime(link.expires_at), event }))
    }

    /// Runs a statement that reads on a running service which speaks SQL, and gives its first rows. It can change nothing, and
    /// is ended after ten seconds. What the server inside says against it is a BAD_USER_INPUT of the field `statement`. The
    /// statement is a mutation because it takes of the service's CPU time and is audited, without its text. Needs the
    /// permission `project:settings`.
    async fn run_sql(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The statement, and the service to run it on.")] input: RunSqlInput,
    ) -> Result<Option<RunSqlPayload>> {
        let id = parse_service("id", &input.id)?;
        let (service, table) = app(ctx).run_sql(viewer(ctx)?, id, input.statement).await?;
        Ok(Some(RunSqlPayload { service: service.into(), result: Some(table.into()) }))
    }

    /// Lists keys of a running service which holds keys, a page at a time, as Redis' SCAN does. It can change nothing. Needs
    /// the permission `project:settings`.
    async fn scan_keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service, and which of its keys to list.")] input: ScanKeysInput,
    ) -> Result<Option<ScanKeysPayload>> {
        let id = parse_service("id", &input.id)?;
        let (service, page) = app(ctx).scan_keys(viewer(ctx)?, id, input.parse()?).await?;
        Ok(Some(ScanKeysPayload {
            service: service.into(),
            keys: page.keys.into_iter().map(RedisKey).collect(),
            next_cursor: page.next.map(|cursor| cursor.to_string()),
            total: page.total.try_into().unwrap_or(i32::MAX),
        }))
    }

    /// Reads the beginning of a key's value from a running service which holds keys. It can change nothing. Needs the
    /// permission `project:settings`.
    async fn read_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service, and which of its keys to read.")] input: ReadKeyInput,
    ) -> Result<Option<ReadKeyPayload>> {
        let id = parse_service("id", &input.id)?;
        let (service, value) = app(ctx).read_key(viewer(ctx)?, id, parse_key(&input.key_base64)?).await?;
        Ok(Some(ReadKeyPayload { service: service.into(), value: value.map(Into::into) }))
    }

    /// Has nothing new placed on a node; what is there stays and runs. Needs the permission `platform:nodes`.
    async fn cordon_node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The node.")] input: NodeInput,
    ) -> Result<Option<CordonNodePayload>> {
        let node = app(ctx).cordon(viewer(ctx)?, &input.parse()?, true).await?;
        Ok(Some(CordonNodePayload { node: node.into() }))
    }

    /// Has new services placed on a node again. Needs the permission `platform:nodes`.
    async fn uncordon_node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The node.")] input: NodeInput,
    ) -> Result<Option<UncordonNodePayload>> {
        let node = app(ctx).cordon(viewer(ctx)?, &input.parse()?, false).await?;
        Ok(Some(UncordonNodePayload { node: node.into() }))
    }
}

async fn act(
    ctx: &Context<'_>,
    input: &ServiceInput,
    action: ServiceAction,
) -> Result<(Service, Option<ServiceEvent>)> {
    let id = input.parse()?;
    Ok(told(app(ctx).act(viewer(ctx)?, id, action).await?))
}

fn told(Committed { service, event }: Committed) -> (Service, Option<ServiceEvent>) {
    (service.into(), event.map(ServiceEvent::from))
}
