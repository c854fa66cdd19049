//! The composition root: builds everything, starts it, and brings it to a halt in order.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;
use futures_util::future::{join_all, maybe_done};
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::SignedDuration;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api;
use crate::app::key_ring::KeyRingError;
use crate::app::{App, AppError, Terms, key_ring};
use crate::auth::{KeySource, Verifier};
use crate::clock::Clock;
use crate::config::{self, Keys, ServeArgs};
use crate::crypto::Sealer;
use crate::domain::address::Publishing;
use crate::domain::node::Capacity;
use crate::engine::Fleet;
use crate::hints::Hints;
use crate::http;
use crate::reconciler::{BackupSettings, EventRetention, OwnBackups, Reconciler, ReconcilerSettings};
use crate::repository::Repository;
use crate::store::{self, Notice, Store, StoreError};
use crate::telemetry;

mod before_migration;
mod fleet;
mod recover;

pub use recover::{Recovered, recover};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Files that are kept for the database, the engine and the log, and for connections that are about to end.
const OTHER_FILES: usize = 256;

/// A server that serves.
pub struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    drain_timeout: Duration,
    sockets: TaskTracker,
    _executor: http::Executor,
    serving: JoinHandle<()>,
    reconciling: JoinHandle<()>,
}

/// Builds and starts a server. It serves also while the engine is away, but not without its database.
pub async fn start(args: &ServeArgs, keys: Keys, backups: &config::BackupSettings) -> Result<Server, BoxError> {
    let offering = args.offering.offering()?;
    let pool = args.pool.targets(args.dev, &offering)?;
    let repository = open_repository(backups)?;
    let store = open_store(&args.store, Some((backups, &keys.sealer))).await?;
    match key_ring::check(store.as_ref(), &keys.sealer).await {
        // Of damage the store tells itself, and what is whole is shown all the same; nothing is sealed then.
        Err(KeyRingError::Store(StoreError::Trouble(trouble))) => tracing::warn!(%trouble, "The keys can't be checked"),
        checked => checked?,
    }
    let sealer = Arc::new(keys.sealer);
    let hints = Arc::new(Hints::default());
    let installation = store.installation_id().await?;
    let fleet = fleet::fleet(args, installation).await?;
    let publishing = args.publish_address.map(|address| Publishing { address, ports: args.publish_ports.clone() });
    let policy = args.offering.policy();
    let keep_replaced = SignedDuration::try_from(args.keep_replaced)?;
    let orphan_grace = SignedDuration::try_from(args.orphan_grace)?;
    let settings = ReconcilerSettings {
        backups: BackupSettings {
            repository: repository.clone(),
            installation,
            own: OwnBackups { directory: args.store.data_dir.clone(), interval: args.backups.database_backup_interval },
            recovery_days: args.backups.recovery_days,
        },
        keep_replaced,
        capacity: Capacity::default(),
        has_neighbours: fleet.nodes().len() > 1,
        keeps_house: false,
        concurrency: usize::from(args.reconcile_concurrency),
        interval: args.reconcile_interval,
        orphan_grace,
        publishing: publishing.clone(),
        retention: EventRetention {
            newest: args.events_per_project,
            age: SignedDuration::from_hours(24 * i64::from(args.event_retention)),
        },
        host_reserve: args.host_reserve,
        builds_images: args.dev,
        policy: policy.clone(),
        offering: offering.clone(),
        pool: pool.clone(),
    };
    let app = Arc::new(App::new(
        Arc::clone(&store),
        Arc::clone(&sealer),
        Arc::clone(&hints),
        fleet.clone(),
        Terms {
            networks: args.network_template.clone(),
            publishing,
            services_per_project: args.limits.services_per_project,
            keep_replaced,
            backup_policy: args.backups.policy()?,
            recovery_days: args.backups.recovery_days,
            repository,
            policy,
            offering,
            placement: args.nodes.placement.clone(),
            has_pool: !pool.is_empty(),
        },
    ));
    let reserved = Arc::clone(&store).reserved();
    let unnamed = fleet::unnamed(store.as_ref(), &fleet).await.unwrap_or_else(|error| {
        tracing::warn!(error = ?error, "Which nodes there were can't be told; those that are named are reconciled");
        Vec::new()
    });
    let reconcilers: Vec<_> = fleet
        .nodes()
        .cloned()
        .chain(unnamed)
        .enumerate()
        .map(|(n, node)| {
            let (reserved, sealer, hints) = (Arc::clone(&reserved), Arc::clone(&sealer), Arc::clone(&hints));
            let has_neighbours = settings.has_neighbours || !fleet.names(&node.name);
            let settings =
                ReconcilerSettings { capacity: node.capacity, has_neighbours, keeps_house: n == 0, ..settings.clone() };
            Arc::new(Reconciler::new(reserved, node, sealer, hints, settings))
        })
        .collect();

    let shutdown = CancellationToken::new();
    let following = follow_store(Arc::clone(&store), hints, shutdown.clone());
    let listener = bind("LISTEN_ADDRESS", args.listen_address).await?;
    let address = listener.local_addr()?;
    let sockets = TaskTracker::new();
    if matches!(keys.tokens.keys, KeySource::Jwks(_)) && keys.tokens.audience.is_none() {
        tracing::warn!("Without JWT_AUDIENCE, tokens are good here that the issuer gave out for other services");
    }
    let verifier = Arc::new(Verifier::new(&keys.tokens));
    // Where nobody can read them, nothing is counted.
    let metrics = match args.metrics_address.is_some() || args.dev {
        true => Some(metrics(Arc::clone(&store), telemetry::metrics::init()?)),
        false => None,
    };
    let limiter = Arc::new(http::Limiter::new(within_open_files(args.limits.of_the_wire(args.dev))));
    let executor = http::Executor::new()?;
    let router = http::router(http::Parts {
        schema: api::schema(Arc::clone(&app), args.limits.of_requests(args.dev), Clock::system()),
        executor: executor.handle(),
        downloads: downloads(app),
        readiness: http::coalesced(readiness(store, fleet, Arc::clone(&verifier))),
        verifier,
        allowed_origins: args.allowed_origins.as_slice().into(),
        shutdown: shutdown.clone(),
        sockets: sockets.clone(),
        limiter: Arc::clone(&limiter),
        socket_limits: args.limits.of_a_socket(),
    });
    let router = match (metrics, args.metrics_address) {
        (Some(metrics), Some(address)) => {
            let listener = bind("METRICS_ADDRESS", address).await?;
            tracing::info!(address = %listener.local_addr()?, "Serving metrics");
            let stop = shutdown.clone().cancelled_owned();
            let serving = axum::serve(listener, http::metrics_router(metrics)).with_graceful_shutdown(stop);
            tokio::spawn(serving.into_future());
            router
        }
        (Some(metrics), None) => router.merge(http::metrics_router(metrics)),
        (None, _) => router,
    };
    let serving = tokio::spawn(http::serve(listener, router, limiter, shutdown.clone()));
    tracing::info!(%address, "Serving");
    let empties_pool = args.dev;
    let reconciling = tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            let all = join_all(reconcilers.iter().map(|reconciler| Arc::clone(reconciler).run(shutdown.clone())));
            tokio::join!(all, following);
            if empties_pool {
                join_all(reconcilers.iter().map(|reconciler| reconciler.empty_pool())).await;
            }
        }
    });
    Ok(Server {
        address,
        shutdown,
        drain_timeout: args.drain_timeout,
        sockets,
        _executor: executor,
        serving,
        reconciling,
    })
}

/// Follows links to downloads.
pub fn downloads(app: Arc<App>) -> http::Downloads {
    Arc::new(move |ticket| {
        let app = Arc::clone(&app);
        async move {
            match app.export(&ticket).await {
                Ok(export) => Ok(http::Download { file_name: export.file_name, content: export.content }),
                Err(error) => Err(refused_download(&error)),
            }
        }
        .boxed()
    })
}

fn refused_download(error: &AppError) -> http::Refused {
    let (status, why) = match error {
        AppError::NotFound(_) => (StatusCode::NOT_FOUND, "The link is not good any more; ask for another one."),
        AppError::Crowded { .. } => (StatusCode::TOO_MANY_REQUESTS, "Others are being downloaded; try again later."),
        AppError::InvalidState(_) | AppError::Conflict { .. } => {
            (StatusCode::CONFLICT, "The service does not run now.")
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "The server can't do it now; try again in a moment."),
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        tracing::warn!(%error, "A download could not be begun");
    }
    http::Refused { status, why: why.to_owned() }
}

async fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener, BoxError> {
    let bound = TcpListener::bind(address).await;
    Ok(bound.map_err(|error| format!("{setting} {address} can't be used: {error}"))?)
}

/// Lets the process have as many files open as it may, and makes do with fewer connections where that is not enough.
fn within_open_files(mut limits: http::Limits) -> http::Limits {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).map_or(current, |()| maximum);
    let files = raised.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    let left = files.saturating_sub(OTHER_FILES).max(2);
    if limits.connections.saturating_add(limits.websockets) > left {
        limits.websockets = limits.websockets.min(left / 2);
        limits.connections = limits.connections.min(left - limits.websockets);
        let http::Limits { connections, websockets, .. } = limits;
        tracing::warn!(files, connections, websockets, "Too few open files are allowed for all connections");
    }
    limits
}

/// Opens where backups are kept; a bucket is not asked for anything.
pub fn open_repository(backups: &config::BackupSettings) -> Result<Repository, BoxError> {
    let opened = Repository::open(&backups.url, &backups.options);
    Ok(opened.map_err(|error| format!("BACKUP_STORE {} can't be used: {error}", backups.url))?)
}

/// Opens the store that the settings name and brings its tables up to date. A SQLite database is backed up before that: where
/// `kept` says, or beside its place if that can't be done.
pub async fn open_store(
    args: &crate::config::StoreArgs,
    kept: Option<(&config::BackupSettings, &Sealer)>,
) -> Result<Arc<dyn Store>, BoxError> {
    use secrecy::ExposeSecret as _;
    let url = args.url().expose_secret().parse::<store::StoreUrl>()?;
    before_migration::keep(&url, kept).await?;
    Ok(store::connect(&url, args.database_ca_file.as_deref()).await?)
}

/// Everything that is counted, with the services as they are now.
fn metrics(store: Arc<dyn Store>, counted: PrometheusHandle) -> http::Metrics {
    Arc::new(move || {
        let (store, counted) = (Arc::clone(&store), counted.clone());
        async move {
            match store.service_tally().await {
                Ok(tally) => telemetry::metrics::services(&tally),
                Err(error) => tracing::warn!(%error, "The services could not be counted"),
            }
            counted.render()
        }
        .boxed()
    })
}

/// Passes on what other replicas change, and has everybody look where word of it may have been lost.
pub async fn follow_store(store: Arc<dyn Store>, hints: Arc<Hints>, shutdown: CancellationToken) {
    if !store.is_shared() {
        return;
    }
    let mut notices = store.notices();
    loop {
        tokio::select! {
            notice = notices.next() => match notice {
                Some(Notice::Changed { project, service }) => {
                    hints.project_changed(&project);
                    hints.wake(service);
                    hints.ask_for_backups();
                }
                Some(Notice::Connected) => hints.all_changed(),
                None => return,
            },
            () = shutdown.cancelled() => return,
        }
    }
}

/// One node that answers is enough to go on with, so that each is told of besides where there are several.
fn readiness(store: Arc<dyn Store>, fleet: Fleet, verifier: Arc<Verifier>) -> http::Readiness {
    Arc::new(move || {
        let (store, fleet) = (Arc::clone(&store), fleet.clone());
        let keys = verifier.ready();
        async move {
            let asked = fleet.nodes().map(async |node| (node.name.to_string(), node.engine.ping().await));
            let (store, answers) = tokio::join!(store.ping(), join_all(asked));
            let mut nodes: Vec<_> =
                answers.into_iter().map(|(name, answer)| (name, answer.map_err(|error| error.to_string()))).collect();
            let engine = nodes.iter().find(|(_, answer)| answer.is_ok()).or(nodes.first());
            let engine = engine.map_or(Ok(()), |(_, answer)| answer.clone());
            if nodes.len() == 1 {
                nodes.clear();
            }
            http::Ready {
                store: store.map_err(|error| error.to_string()),
                engine,
                nodes,
                keys: keys.map_err(|error| error.to_string()),
            }
        }
        .boxed()
    })
}

impl Server {
    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until SIGTERM or SIGINT, or until it can't reconcile any more, which is an error; then lets open requests end,
    /// for as long as the drain timeout allows. Services keep running.
    pub async fn run_until_signal(mut self) -> Result<(), BoxError> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut reconciling = pin!(maybe_done(self.reconciling));
        let reconciles = tokio::select! {
            _ = terminate.recv() => {
                tracing::info!("Stopping on SIGTERM");
                true
            }
            _ = interrupt.recv() => {
                tracing::info!("Stopping on SIGINT");
                true
            }
            ended = &mut self.serving => return Ok(ended?),
            // What is shown would no longer be true. Whoever supervises the server starts it anew.
            () = &mut reconciling => false,
        };
        self.shutdown.cancel();
        self.sockets.close();
        let drained = async { tokio::join!(self.serving, reconciling.as_mut(), self.sockets.wait()) };
        match tokio::time::timeout(self.drain_timeout, drained).await {
            Ok((served, (), ())) => served?,
            Err(_) => tracing::warn!("Some requests did not end in time and are broken off"),
        }
        reconciling.take_output().transpose()?;
        if reconciles { Ok(()) } else { Err("nothing is reconciled any more".into()) }
    }
}
