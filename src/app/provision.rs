//! Provisioning: a durable row, and a wake-up for the reconciler.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::lifetime::unfit;
use super::{App, AppError, Committed, Result, new_seed, now};
use crate::audit::{self, Object};
use crate::catalog::access::Access;
use crate::catalog::offering::Availability;
use crate::catalog::{Offer, definition, free_port, made_of};
use crate::domain::Stored as _;
use crate::domain::address::Publishing;
use crate::domain::backup_policy::{BackupPlan, BackupPolicy};
use crate::domain::event::NewEvent;
use crate::domain::id::{BackupId, IdempotencyKey, ProjectId, ServiceId};
use crate::domain::lifetime::Lifetime;
use crate::domain::name::ServiceName;
use crate::domain::node::NodeName;
use crate::domain::permission::{Permission, Principal};
use crate::domain::pool::PoolMember;
use crate::domain::service::{Address, Operation, Power, Published, Service, ServiceKind, SizeTier, TierSpec, Wish};
use crate::domain::task::{Job, Task, TaskId};
use crate::store::{Idempotency, NewService, StoreError};
use crate::telemetry::{metrics, traces};

/// How often a generated name or port may turn out to be taken by a concurrent request before that is an error.
const ATTEMPTS: u32 = 1000;

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct ProvisionRequest {
    pub project: ProjectId,
    pub kind: ServiceKind,
    pub tier: SizeTier,
    /// None: the catalog's default.
    pub version: Option<String>,
    /// None: made from the kind.
    pub name: Option<ServiceName>,
    /// Whether it is protected from being destroyed.
    pub protected: bool,
    /// When it is destroyed; None: never.
    pub expires_at: Option<Timestamp>,
    pub idempotency_key: Option<IdempotencyKey>,
    /// None: it begins empty.
    pub origin: Option<Origin>,
}

/// What a service is to hold from the beginning.
#[derive(Debug, Clone)]
pub struct Origin {
    pub of: OriginOf,
    /// Whose user and database are in it.
    pub names: Access,
}

/// What it is the data of.
#[derive(Debug, Clone, Copy)]
pub enum OriginOf {
    /// With what was written after it up to a moment.
    Backup(BackupId, Option<Timestamp>),
    Service(ServiceId),
}

impl App {
    /// Accepts a new service, which is then PENDING. Under an idempotency key that was used before with the same
    /// attributes, gives back the service of the first call as it is now, and no event.
    pub async fn provision(&self, viewer: &Principal, request: ProvisionRequest) -> Result<Committed> {
        viewer.authorize(&request.project, Permission::ProjectSettings).inspect_err(|denied| {
            audit::refused(viewer, "PROVISION", Object::Project(&request.project), denied);
        })?;
        let asked = fingerprint(&request, request.version.as_deref().unwrap_or_default());
        let idempotency = request.idempotency_key.clone().map(|key| Idempotency { key, fingerprint: asked });
        // Ahead of all that the catalog says, which may be something else than at the first time.
        if let Some(known) = self.provisioned_before(&request, idempotency.as_ref()).await? {
            return Ok(Committed { service: known, event: None });
        }
        self.terms.networks.name(&request.project).map_err(|invalid| AppError::BadInput {
            field: "projectId",
            message: format!("The project can't have services here: {invalid}."),
        })?;
        let definition = definition(request.kind);
        let offering = &self.terms.offering;
        let offer = offering.offer(request.kind).ok_or_else(|| AppError::BadInput {
            field: "kind",
            message: match offering.availability(definition) {
                _ if !request.kind.is_known() => format!("{} is shown only; it can't be provisioned.", request.kind),
                Availability::Withdrawn => format!("{} is not offered here.", definition.name),
                _ => format!("{} is announced and can't be provisioned yet.", definition.name),
            },
        })?;
        let version = chosen_version(offer, definition.name, request.version.as_deref())?;

        let base = default_name(request.kind);
        let taken = match request.name {
            Some(_) => Vec::new(),
            None => self.store.service_list_names(&request.project).await?,
        };
        let mut names = (1..).map(|n| ServiceName::numbered(&base, n)).filter(|name| !taken.contains(name));
        let mut name = request.name.clone().or_else(|| names.next()).unwrap_or_else(|| base.clone());
        for _ in 0..ATTEMPTS {
            let new = self.draft(&request, offer, version, name.clone(), idempotency.clone()).await?;
            let event = NewEvent::provisioned(&new.service, &viewer.subject);
            match self.store.service_create(&new, &event).await {
                Ok(event) => {
                    self.hints.project_changed(&request.project);
                    self.hints.wake(new.service.id);
                    self.hints.ask_for_snapshot();
                    self.hints.ask_for_pool();
                    metrics::provision(request.kind, new.member.is_some());
                    audit::accepted(viewer, "PROVISION", Object::Service(new.service.id));
                    return Ok(Committed { service: new.service, event: Some(event) });
                }
                Err(StoreError::NameTaken) if request.name.is_some() => {
                    let message = format!("The project has a service named {name} already.");
                    return Err(AppError::Conflict { field: "name", message });
                }
                Err(StoreError::NameTaken) => name = names.next().unwrap_or_else(|| base.clone()),
                // Of a node that had room a moment ago another one may be left.
                Err(StoreError::PortTaken | StoreError::Taken | StoreError::NoRoom(_)) => {}
                Err(StoreError::QuotaReached) => {
                    return Err(AppError::QuotaExceeded { most: self.terms.services_per_project });
                }
                Err(StoreError::KeyUsed) => {
                    if let Some(known) = self.provisioned_before(&request, idempotency.as_ref()).await? {
                        return Ok(Committed { service: known, event: None });
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        let message = "No free name or port was found; try again.".to_owned();
        Err(AppError::Conflict { field: "name", message })
    }

    async fn provisioned_before(
        &self,
        request: &ProvisionRequest,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Service>> {
        let Some(wanted) = idempotency else { return Ok(None) };
        match self.store.service_find_by_key(&request.project, &wanted.key).await? {
            None => Ok(None),
            Some((service, known)) if is_same_request(request, &service, &known) => Ok(Some(service)),
            Some(_) => {
                let message = "The idempotency key was used before, with other attributes.".to_owned();
                Err(AppError::Conflict { field: "idempotencyKey", message })
            }
        }
    }

    async fn draft(
        &self,
        request: &ProvisionRequest,
        offer: &Offer,
        version: &str,
        name: ServiceName,
        idempotency: Option<Idempotency>,
    ) -> Result<NewService> {
        let id = ServiceId(Uuid::now_v7());
        let wish = Wish {
            kind: request.kind,
            version: version.to_owned(),
            tier: chosen_tier(offer, request.tier)?,
            power: Power::On,
        };
        let source = match request.origin.as_ref().map(|origin| origin.of) {
            Some(OriginOf::Service(source)) => self.store.service_get(source).await?.map(|source| source.node),
            _ => None,
        };
        let (node, room) = self.place(&request.project, &wish, source.as_ref()).await?;
        let ready = match &request.origin {
            None => self.ready_beforehand(&node, &wish).await?,
            Some(_) => None,
        };
        let access = match (&ready, &request.origin) {
            (Some((_, access)), _) => access.clone(),
            (None, Some(Origin { names, .. })) => Access {
                username: names.username.clone(),
                database: names.database.clone(),
                ..(offer.access)(&new_seed()?)
            },
            (None, None) => (offer.access)(&new_seed()?),
        };
        let sealed = self.sealer.seal(id, &access.to_bytes())?;
        let member = ready.map(|(member, _)| member);
        let published = match (&member, &self.terms.publishing) {
            (Some(member), _) => member.published,
            (None, Some(publishing)) => Some(self.free_port(publishing, wish.kind, id).await?),
            (None, None) => None,
        };
        let address = Address { hostname: format!("{name}-{}", id.suffix()), published };
        let now = now();
        let lifetime = Lifetime::begun(request.protected, request.expires_at, now);
        let lifetime = lifetime.map_err(|why| unfit(why, "expiresAt"))?;
        let accepted = Service::accepted(id, (request.project.clone(), name), wish, address, now);
        let policy = self.terms.backup_policy.clone().filter(|_| offer.can.backup.is_some());
        let kept = |policy: BackupPolicy| BackupPolicy {
            point_in_time: policy.point_in_time && offer.can.archive.is_some(),
            ..policy
        };
        let policy = policy.map(kept);
        let backup_plan = BackupPlan::default().with_policy(policy, id, now);
        let mut service = Service { lifetime, backup_plan, trace: traces::here(), ..accepted };
        let member = member.map(|member| member.id);
        service.instance = member.unwrap_or(service.instance);
        service.node = node;
        let tasks = request.origin.iter().map(|origin| {
            let task = |job| Task::new(TaskId(Uuid::now_v7()), id, job, service.created_at);
            match origin.of {
                OriginOf::Backup(backup, recover_to) => Task { backup: Some(backup), recover_to, ..task(Job::Restore) },
                OriginOf::Service(source) => Task { source: Some(source), ..task(Job::Clone) },
            }
        });
        let tasks: Vec<_> = tasks.collect();
        if let Some(task) = tasks.first() {
            service.operation = Some(Operation::queued(task.job.operation(), service.created_at));
        }
        let quota = self.terms.services_per_project;
        Ok(NewService { service, sealed, tasks, member, idempotency, quota, room })
    }

    /// An instance on that node that would do for `wish`, and is ready, with who may connect to it. What can't be read of one is as good as
    /// none.
    async fn ready_beforehand(&self, node: &NodeName, wish: &Wish) -> Result<Option<(PoolMember, Access)>> {
        let published = self.terms.publishing.as_ref().map(|publishing| publishing.address);
        let image = self.terms.offering.image(wish.kind, &wish.version);
        let made_of = made_of(wish, &image, &self.terms.policy, published);
        let Some(made_of) = made_of.filter(|_| self.terms.has_pool) else { return Ok(None) };
        let Some((member, sealed)) = self.store.pool_find(node, &made_of).await? else {
            return Ok(None);
        };
        let opened = self.sealer.open(ServiceId(member.id.0), &sealed);
        Ok(opened.ok().and_then(|bytes| Access::from_bytes(&bytes).ok()).map(|access| (member, access)))
    }

    /// Ports that no other service has; searched from a place that depends on the id, so that two installations on
    /// one host rarely meet.
    async fn free_port(&self, publishing: &Publishing, kind: ServiceKind, id: ServiceId) -> Result<Published> {
        let taken = self.store.port_list().await?;
        let found = free_port(publishing, kind, &taken, id.0.as_u128());
        let message = "Every port that services may be published on is taken.";
        found.ok_or_else(|| AppError::Conflict { field: "projectId", message: message.to_owned() })
    }
}

fn chosen_version<'a>(offer: &'a Offer, kind: &str, wanted: Option<&str>) -> Result<&'a str> {
    let Some(wanted) = wanted else { return Ok(offer.default_version) };
    offer.versions.iter().find(|version| **version == wanted).copied().ok_or_else(|| AppError::BadInput {
        field: "version",
        message: format!("{kind} is offered in the versions {}.", offer.versions.join(", ")),
    })
}

fn chosen_tier(offer: &Offer, wanted: SizeTier) -> Result<TierSpec> {
    offer.tier(wanted).ok_or_else(|| AppError::BadInput {
        field: "tier",
        message: format!("It is offered in the sizes {}.", offer.tiers.map(|spec| spec.tier.as_str()).join(", ")),
    })
}

fn default_name(kind: ServiceKind) -> ServiceName {
    // The kinds' own names are names.
    let text = kind.plain_name();
    text.parse().unwrap_or_else(|_| unreachable!("{text} is a name"))
}

/// Whether `service`, whose request had the fingerprint `known`, is what is asked for now. A version that is left out fits any
/// that it came to, whatever the catalog offers by now; earlier versions of the server wrote that one into the fingerprint.
fn is_same_request(request: &ProvisionRequest, service: &Service, known: &str) -> bool {
    let version = service.wish.version.as_str();
    request.version.as_deref().is_none_or(|wanted| wanted == version)
        && ["", version].iter().any(|version| fingerprint(request, version) == known)
}

/// A digest of what was asked for, with a version or, where none was given, with an empty one. A request that says nothing of
/// the service's end has the digest that it had when nothing could be said of that.
fn fingerprint(request: &ProvisionRequest, version: &str) -> String {
    let name = request.name.as_ref().map_or("", ServiceName::as_str);
    let mut text = format!("{}\n{}\n{version}\n{name}", request.kind, request.tier);
    if let Some(origin) = &request.origin {
        text = match origin.of {
            OriginOf::Backup(backup, None) => format!("{text}\n{backup}"),
            OriginOf::Backup(backup, Some(to)) => format!("{text}\n{backup}\n{to}"),
            OriginOf::Service(source) => format!("{text}\n{source}"),
        };
    }
    if request.protected {
        text.push_str("\nprotected");
    }
    if let Some(at) = request.expires_at {
        text = format!("{text}\nexpires {at}");
    }
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
