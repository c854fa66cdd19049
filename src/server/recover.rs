//! Puts together what a recovery needs.

use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::{BoxError, open_repository};
use crate::app::key_ring;
use crate::config::RecoverArgs;
use crate::crypto::Sealer;
use crate::domain::id::InstallationId;
use crate::domain::storage::{Reserve, StorageBackend};
use crate::engine::Engine;
use crate::engine::docker::{DockerEngine, DockerSettings, Host, LoopSettings, StorageSettings};
use crate::recovery::{self, Findings, Recovery, RecoveryError, Report};
use crate::store::{self, StoreUrl};

/// What came of it.
pub enum Recovered {
    /// What there is; nothing was changed.
    Told(Findings),
    Done(Report),
}

/// Brings an installation back, or says what there is of any.
pub async fn recover(args: &RecoverArgs, sealer: &Sealer) -> Result<Recovered, BoxError> {
    let repository = open_repository(&args.backups()?)?;
    let found = recovery::find(&repository, sealer).await?;
    if !args.yes {
        return Ok(Recovered::Told(found));
    }
    let mut skipped: Vec<_> =
        found.unreadable.iter().map(|name| format!("{name}: no manifest that is known here")).collect();
    let installation = found.choose(args.installation)?;
    installation.check_keys(args.skip_unreadable)?;
    let engine = engine(args, installation.id)?;
    let survey = engine.survey().await.map_err(RecoveryError::Engine)?;
    let url: StoreUrl = args.store.url().expose_secret().parse()?;
    let database =
        recovery::bring_database(&url, &installation, &repository, args.skip_unreadable, &mut skipped).await?;
    let store = store::connect(&url, args.store.database_ca_file.as_deref()).await?;
    key_ring::check(store.as_ref(), sealer).await?;
    let mut recovery = Recovery::new(store.as_ref(), sealer, &installation, &survey, args.publishing());
    (recovery.node, recovery.backup_only) = (args.node.clone(), args.backup_only);
    Ok(Recovered::Done(recovery::bring_back(recovery, database, skipped).await?))
}

/// One that is looked at only; nothing is made on it.
fn engine(args: &RecoverArgs, installation: InstallationId) -> Result<Arc<dyn Engine>, BoxError> {
    let host = Host { address: args.docker_host.clone(), tls: None };
    let settings = DockerSettings {
        installation,
        network_template: "{project}".parse()?,
        network_pool: None,
        extra_labels: Vec::new(),
        storage: StorageSettings {
            backend: StorageBackend::Volume,
            files: LoopSettings { directory: String::new(), image: String::new(), reserve: Reserve(0) },
        },
    };
    Ok(Arc::new(DockerEngine::new(host, &settings)))
}
