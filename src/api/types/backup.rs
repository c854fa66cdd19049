//! Backups.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};

use super::catalog::TierSpec;
use super::date_time::DateTime;
use super::enums::ServiceKind;
use super::ids::{backup_cursor, parse_backup_cursor};
use super::page::{PageArguments, PageInfo, other_side};
use super::service::Service;
use crate::api::documents::limits::list_cost;
use crate::api::error::Result;
use crate::api::guard::viewer;
use crate::api::{app, batches};
use crate::domain::backup;
use crate::domain::id::BackupId;
use crate::domain::page::{BackupsOf, Page, Slice};

/// How many facts a verification has as a rule.
const FACTS: usize = 20;

/// What is true of a backup.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "backup::BackupState")]
pub enum BackupState {
    /// It was asked for, and has yet to begin.
    Pending,
    /// Its content is on its way to where it is kept.
    Running,
    /// It is kept as a whole, and can be restored. Whether that works has not been tried yet.
    Available,
    /// It was restored once, where nobody reaches it, and all of it was read: see `verification`.
    Verified,
    /// It did not come to be, or could not be restored; `error` says why.
    Failed,
    /// It is being removed.
    Deleting,
    /// What a newer version of the server has written and this one does not know, while both run. Show it, offer no action,
    /// and ask again; it can't be asked for.
    Unknown,
}

/// What is being done about a backup.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "backup::BackupPhase")]
pub enum BackupPhase {
    /// It waits for its turn.
    Queued,
    /// Its content is being taken; `contentBytes` says how much of it so far.
    Copying,
    /// It is being restored into an instance without a network, to see that it can be.
    Restoring,
    /// What was restored is being read as a whole.
    Reading,
    /// What a newer version of the server has written and this one does not know, while both run. Show it, offer no action,
    /// and ask again; it can't be asked for.
    Unknown,
}

/// Who asked for a backup.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "backup::BackupOrigin")]
pub enum BackupOrigin {
    /// Somebody, by `createBackup`.
    Manual,
    /// The service's policy.
    Scheduled,
    /// Somebody, by `destroyService` with `finalBackup`: the service is destroyed once it is verified.
    Final,
    /// What a newer version of the server has written and this one does not know, while both run. Show it, offer no action,
    /// and ask again; it can't be asked for.
    Unknown,
}

pub struct Backup(pub backup::Backup);

/// What a service held at a moment, kept compressed and encrypted where the service's own volume is not. It stays when the service
/// is destroyed.
#[Object]
impl Backup {
    /// Identifies the backup; opaque.
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// Counts its changes: of two answers about a backup the one of the higher revision is the newer.
    async fn revision(&self) -> i64 {
        self.0.revision
    }

    /// The project that it belongs to.
    async fn project_id(&self) -> ID {
        self.0.project.to_string().into()
    }

    /// Whose it is; it may be DESTROYED by now.
    async fn service(&self, ctx: &Context<'_>) -> Result<Option<Service>> {
        Ok(batches::service(ctx, self.0.service).await?.map(Service::from))
    }

    /// What the service was called when it was asked for.
    async fn service_name(&self) -> &str {
        self.0.service_name.as_str()
    }

    /// What the service is.
    async fn kind(&self) -> ServiceKind {
        self.0.kind.into()
    }

    /// The version that its data is of; it is restored into a service of the same.
    async fn version(&self) -> &str {
        &self.0.version
    }

    /// How large the service was.
    async fn tier(&self) -> TierSpec {
        TierSpec(self.0.tier)
    }

    /// What is true of it.
    async fn state(&self) -> BackupState {
        self.0.state.into()
    }

    /// What is being done about it; null when nothing is.
    async fn phase(&self) -> Option<BackupPhase> {
        self.0.phase.map(Into::into)
    }

    /// Who asked for it.
    async fn origin(&self) -> BackupOrigin {
        self.0.origin.into()
    }

    /// What whoever asked for it has noted.
    async fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }

    /// How much of its content was taken, in bytes, before it is compressed.
    async fn content_bytes(&self) -> u64 {
        self.0.content_bytes
    }

    /// What is kept of it, compressed and encrypted, in bytes; null until it is whole.
    async fn stored_bytes(&self) -> Option<u64> {
        self.0.stored_bytes
    }

    /// Where it is kept, below the place that the server's operator has set; null until that was begun.
    async fn location(&self) -> Option<&str> {
        self.0.object.as_deref()
    }

    /// What was found when it was restored to be verified; null until it was.
    async fn verification(&self) -> Option<BackupVerification> {
        self.0.verification.clone().map(BackupVerification)
    }

    /// Why it has failed, or what it has to wait for; null otherwise.
    async fn error(&self) -> Option<BackupError> {
        self.0.error.clone().map(BackupError)
    }

    /// When it was asked for.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it began to be taken: all that was committed before is in it. Null until then.
    async fn begun_at(&self) -> Option<DateTime> {
        self.0.begun_at.map(DateTime)
    }

    /// When it was whole; null until it is.
    async fn ended_at(&self) -> Option<DateTime> {
        self.0.ended_at.map(DateTime)
    }
}

pub struct BackupVerification(pub backup::Verification);

/// What was found when a backup was restored, where nobody reaches it, and read as a whole.
#[Object]
impl BackupVerification {
    /// When it was read.
    async fn verified_at(&self) -> DateTime {
        DateTime(self.0.verified_at)
    }

    /// What was counted, and how it was read.
    #[graphql(complexity = "list_cost(FACTS, child_complexity)")]
    async fn facts(&self) -> Vec<BackupFact> {
        let facts = self.0.facts.iter();
        facts.map(|(name, value)| BackupFact { name: name.clone(), value: value.clone() }).collect()
    }
}

/// Something that was found in a backup.
#[derive(SimpleObject)]
pub struct BackupFact {
    /// What it is, such as "keys" or "rows of db.public.orders".
    pub name: String,
    /// How much or which it is.
    pub value: String,
}

pub struct BackupError(pub backup::BackupError);

/// Why a backup has failed, or what it has to wait for.
#[Object]
impl BackupError {
    /// For programs: `NOT_RUNNING`, `SERVICE_DESTROYED`, `SOURCE_FAILED`, `STORE_UNAVAILABLE`, `STORE_FULL`, `STORE_REFUSED`,
    /// `MISSING`, `DAMAGED`, `KEY_MISSING`, `RESTORE_FAILED` or `ENGINE_UNAVAILABLE`. More may come.
    async fn code(&self) -> &str {
        self.0.code.as_str()
    }

    /// For people. It never holds a secret.
    async fn message(&self) -> &str {
        &self.0.message
    }

    /// When it was noticed.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.0.occurred_at)
    }
}

pub struct BackupConnection {
    of: BackupsOf,
    page: Page<BackupId>,
    backups: Vec<Backup>,
    has_more: bool,
}

impl BackupConnection {
    pub async fn load(ctx: &Context<'_>, of: BackupsOf, arguments: PageArguments) -> Result<Self> {
        let page = arguments.parse(parse_backup_cursor)?;
        let slice = slice(ctx, &of, page).await?;
        Ok(Self { of, page, backups: slice.rows.into_iter().map(Backup).collect(), has_more: slice.has_more })
    }
}

async fn slice(ctx: &Context<'_>, of: &BackupsOf, page: Page<BackupId>) -> Result<Slice<backup::Backup>> {
    match of {
        BackupsOf::Service(service) => batches::backups(ctx, *service, page).await,
        BackupsOf::Project(_) => Ok(app(ctx).backups(viewer(ctx)?, of, page).await?),
    }
}

/// A page of backups, the newest first.
#[Object]
impl BackupConnection {
    /// The page's backups.
    async fn nodes(&self) -> &[Backup] {
        &self.backups
    }

    /// The page's backups, each with its cursor.
    async fn edges(&self) -> Vec<BackupEdge> {
        self.backups.iter().map(|backup| BackupEdge(Backup(backup.0.clone()))).collect()
    }

    /// Where the page lies in the list.
    async fn page_info(&self, ctx: &Context<'_>) -> Result<PageInfo> {
        let (first, last) = (self.backups.first().map(|b| b.0.id), self.backups.last().map(|b| b.0.id));
        let has_other = match other_side(&self.page, first, last) {
            None => false,
            Some(page) => !slice(ctx, &self.of, page).await?.rows.is_empty(),
        };
        Ok(PageInfo::new(&self.page, self.has_more, has_other, (first.map(backup_cursor), last.map(backup_cursor))))
    }

    /// How many there are in all. Counted only when you ask for it.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<u64> {
        Ok(app(ctx).backup_count(viewer(ctx)?, &self.of).await?)
    }
}

pub struct BackupEdge(pub Backup);

/// A backup and its place in a list.
#[Object]
impl BackupEdge {
    /// The backup's place in the list, to give to `after` or `before`; opaque.
    async fn cursor(&self) -> String {
        backup_cursor(self.0.0.id)
    }

    /// The backup.
    async fn node(&self) -> &Backup {
        &self.0
    }
}
