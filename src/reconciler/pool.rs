//! Keeps instances ready that are nobody's yet (`domain/pool.rs`), of what the operator asks for and as many as were taken of late.
//!
//! Each is written down before anything of it is made, and forgotten once nothing of it is left. Whatever takes one takes its row
//! in the same transaction in which it comes to be: so an instance is the pool's or one service's, whenever the server is killed.
//! What is wrong with one is no service's trouble: its rules find the instance as they find any that was half made.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::look::pause_after;
use super::{Reconciler, things};
use crate::catalog::access::{Access, Seed};
use crate::catalog::deployment::Deployment;
use crate::catalog::{Offer, definition, free_port, made_of};
use crate::domain::id::{InstanceId, ServiceId};
use crate::domain::observed::{ContainerStatus, Health, Observed, Volume};
use crate::domain::pool::{MemberState, PoolMember, PoolTarget};
use crate::domain::service::{Power, Wish};
use crate::engine::{EngineError, Pull, Target};
use crate::store::StoreError;
use crate::telemetry::metrics;

/// How often it is looked whether those that wait are well.
const ROUND: Duration = Duration::from_secs(10);
/// How long what was taken counts as asked for of late.
const LATE: SignedDuration = SignedDuration::from_mins(10);
/// How long a new one may take until it answers.
const READY: Duration = Duration::from_secs(180);
/// How long services that are on their way are let go first, at most.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether any still is.
const BUSY: Duration = Duration::from_millis(200);

/// Why the pool is not as it is to be; the next round goes on from there.
#[derive(Debug, thiserror::Error)]
enum PoolError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Other(String),
}

/// What is remembered between rounds.
#[derive(Default)]
struct Demand {
    /// Those that were ready when that was last seen, by what they were made from.
    ready: HashMap<InstanceId, String>,
    /// When one was taken that was made from that.
    taken: VecDeque<(Timestamp, String)>,
}

impl Demand {
    /// Takes note of who is ready now; the others were taken, unless they are in `gone`.
    fn note(&mut self, ready: HashMap<InstanceId, String>, gone: &HashSet<InstanceId>, now: Timestamp) {
        for (id, made_of) in std::mem::take(&mut self.ready) {
            if !ready.contains_key(&id) && !gone.contains(&id) {
                self.taken.push_back((now, made_of));
            }
        }
        self.taken.retain(|(at, _)| now.duration_since(*at) < LATE);
        self.ready = ready;
    }

    fn of_late(&self, made_of: &str) -> u32 {
        let count = self.taken.iter().filter(|(_, taken)| taken == made_of).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

impl Reconciler {
    /// Keeps the pool as it is to be.
    pub(super) async fn keep_pool(self: Arc<Self>) {
        let mut demand = Demand::default();
        let mut failures = 0;
        loop {
            let pause = match self.see_to_pool(&mut demand).await {
                Ok(()) => {
                    failures = 0;
                    ROUND
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(error = ?error, "An instance could not be made ready beforehand; it is tried again");
                    Duration::try_from(pause_after(failures)).unwrap_or(ROUND)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.inbox.pool_asked_for(), if failures == 0 => {}
            }
        }
    }

    /// Removes all that nobody has taken, at the end of a server that leaves nothing of its own behind.
    pub async fn empty_pool(&self) {
        let emptied = async {
            for member in self.store.pool_list(&self.node).await? {
                self.drop_member(&member).await?;
            }
            Ok::<_, PoolError>(())
        };
        if let Err(error) = emptied.await {
            tracing::warn!(error = ?error, "Instances that were ready beforehand are left; the next start sees to them");
        }
    }

    async fn see_to_pool(&self, demand: &mut Demand) -> Result<(), PoolError> {
        loop {
            let members = self.store.pool_list(&self.node).await?;
            let (ready, gone) = self.sort_out(members).await?;
            let made_of = ready.iter().map(|member| (member.id, member.made_of.clone())).collect();
            demand.note(made_of, &gone, (self.clock)());
            let surplus = self.surplus(&ready, demand);
            for member in &surplus {
                self.drop_member(member).await?;
                demand.ready.remove(&member.id);
            }
            self.tell_pool(&ready, &surplus);
            let Some(target) = self.lacking(&ready, demand) else { return Ok(()) };
            self.others_first().await;
            self.make(&target).await?;
        }
    }

    /// Those that can be taken, and those that could be and can't be any more. What is broken or was left half made is removed.
    async fn sort_out(&self, members: Vec<PoolMember>) -> Result<(Vec<PoolMember>, HashSet<InstanceId>), PoolError> {
        let (mut ready, mut gone) = (Vec::new(), HashSet::new());
        for member in members {
            let mut seen = self.engine.look(member.id, &self.image_of_member(&member)).await?;
            if self.store.service_of(member.id).await?.is_some() {
                // It was taken just now.
                continue;
            }
            self.probes.see(member.id, None, &mut seen);
            if self.is_somebodys(&member, &seen).await? {
                tracing::warn!(instance = %member.id, "An instance of the pool was taken already, and is left alone");
                self.store.pool_forget(&self.node, self.epoch(), member.id).await?;
                gone.insert(member.id);
            } else if member.state != MemberState::Ready {
                self.drop_member(&member).await?;
            } else if !is_well(&seen) {
                tracing::info!(instance = %member.id, "An instance of the pool is not well any more, and goes");
                self.drop_member(&member).await?;
                gone.insert(member.id);
            } else if member.seen_in == self.epoch() {
                ready.push(member);
            } else if self.store.pool_note(&PoolMember { seen_in: self.epoch(), ..member.clone() }).await? {
                tracing::info!(instance = %member.id, "An instance is ready since an earlier start");
                ready.push(member);
            }
        }
        Ok((ready, gone))
    }

    /// Whether the store was put back to before somebody took it, as far as the engine tells: then the data is theirs, and stays. What
    /// was taken is on a network for as long as there is a container. Where there is none, and it was not seen in this term, only
    /// a volume that nothing was written to is nobody's; it goes with a container that is made to look into it.
    async fn is_somebodys(&self, member: &PoolMember, seen: &Observed) -> Result<bool, PoolError> {
        match &seen.container {
            Some(container) => Ok(container.connected),
            None if seen.volume != Volume::Ours || member.seen_in == self.epoch() => Ok(false),
            None => {
                let Some(offer) = definition(member.kind).offer.as_ref() else { return Ok(true) };
                let nobody = (offer.access)(&Seed([0; Seed::LENGTH]));
                let deployment = (offer.deployment)(&member.wish(), &nobody, &self.settings.policy);
                self.engine
                    .ensure(&things::container_of_member(member, self.image_of_member(member), deployment))
                    .await?;
                self.engine.remove(&Target::Unused { instance: member.id, data_path: offer.data_path }).await?;
                Ok(self.engine.look(member.id, &self.image_of_member(member)).await?.volume == Volume::Ours)
            }
        }
    }

    /// Those that nobody is to take: of what is not asked for, more than are wanted, or made otherwise than they would be now.
    fn surplus(&self, ready: &[PoolMember], demand: &Demand) -> Vec<PoolMember> {
        let mut wanted: HashMap<String, u32> = HashMap::new();
        for target in &self.settings.pool {
            if let Some(made_of) = self.made_for(target) {
                let count = target.wanted(demand.of_late(&made_of));
                wanted.insert(made_of, count);
            }
        }
        let mut surplus = Vec::new();
        for member in ready {
            match wanted.get_mut(&member.made_of).filter(|left| **left > 0) {
                Some(left) => *left -= 1,
                None => surplus.push(member.clone()),
            }
        }
        surplus
    }

    fn tell_pool(&self, ready: &[PoolMember], surplus: &[PoolMember]) {
        let kept: Vec<_> = ready.iter().filter(|member| !surplus.contains(member)).collect();
        for PoolTarget { kind, version, .. } in &self.settings.pool {
            let count = kept.iter().filter(|member| (member.kind, &member.version) == (*kind, version)).count();
            metrics::pool_instances(*kind, version, count);
        }
        metrics::pool_memory(kept.iter().map(|member| u64::from(member.tier.memory_mib) << 20).sum());
    }

    /// Of what more are to be ready than are.
    fn lacking(&self, ready: &[PoolMember], demand: &Demand) -> Option<PoolTarget> {
        let lacks = |target: &&PoolTarget| {
            let Some(made_of) = self.made_for(target) else { return false };
            let there = ready.iter().filter(|member| member.made_of == made_of).count();
            u32::try_from(there).is_ok_and(|there| there < target.wanted(demand.of_late(&made_of)))
        };
        self.settings.pool.iter().find(lacks).cloned()
    }

    fn made_for(&self, target: &PoolTarget) -> Option<String> {
        let address = self.settings.publishing.as_ref().map(|publishing| publishing.address);
        let image = self.settings.offering.image(target.kind, &target.version);
        made_of(&wish(target)?, &image, &self.settings.policy, address)
    }

    fn image_of_member(&self, member: &PoolMember) -> String {
        self.settings.offering.image(member.kind, &member.version)
    }

    /// Waits while others have something to do, for nobody waits for this. What has just taken one is about to.
    async fn others_first(&self) {
        let since = Instant::now();
        loop {
            tokio::time::sleep(BUSY).await;
            if !self.lanes.are_in_use() || since.elapsed() > PATIENCE {
                return;
            }
        }
    }

    async fn make(&self, target: &PoolTarget) -> Result<(), PoolError> {
        let unknown = || PoolError::Other(format!("{} {} is not offered", target.kind, target.version));
        let (wish, made_of) = wish(target).zip(self.made_for(target)).ok_or_else(unknown)?;
        let offer = definition(wish.kind).offer.as_ref().ok_or_else(unknown)?;
        let id = InstanceId(Uuid::now_v7());
        let seed = Seed::random().map_err(|error| PoolError::Other(error.to_string()))?;
        let access = (offer.access)(&seed);
        let sealed = self.sealer.seal(ServiceId(id.0), &access.to_bytes());
        let sealed = sealed.map_err(|error| PoolError::Other(error.to_string()))?;
        let published = match &self.settings.publishing {
            Some(publishing) => free_port(publishing, wish.kind, &self.store.port_list().await?, id.0.as_u128()),
            None => None,
        };
        let member = PoolMember {
            id,
            node: self.node.clone(),
            kind: wish.kind,
            version: wish.version,
            tier: wish.tier,
            made_of,
            published,
            state: MemberState::Making,
            seen_in: self.epoch(),
            since: (self.clock)(),
        };
        self.store.pool_add(&member, &sealed).await?;
        match self.make_ready(&member, offer, &access).await {
            Ok(()) => {
                let ready = PoolMember { state: MemberState::Ready, since: (self.clock)(), ..member };
                self.store.pool_note(&ready).await?;
                tracing::info!(instance = %ready.id, kind = %ready.kind, version = ready.version,
                    "An instance is ready before anybody asks for it");
                Ok(())
            }
            Err(error) => {
                // Where that fails as well the next round does it.
                let _ = self.drop_member(&member).await;
                Err(error)
            }
        }
    }

    async fn make_ready(&self, member: &PoolMember, offer: &Offer, access: &Access) -> Result<(), PoolError> {
        let wish = member.wish();
        let image = self.image_of_member(member);
        self.engine.pull(&image, Pull::Absent, watch::channel(None).0).await?;
        self.engine.ensure(&things::volume_of_member(member)).await?;
        let deployment = || -> Deployment { (offer.deployment)(&wish, access, &self.settings.policy) };
        self.engine.ensure(&things::container_of_member(member, image.clone(), deployment())).await?;
        self.engine.start(member.id, &deployment()).await?;
        let made = deployment();
        let answers = self.answers(member.id, made.ready_check, made.ready_hint);
        match tokio::time::timeout(READY, answers).await.unwrap_or(Ok(false))? {
            true => Ok(()),
            false => Err(PoolError::Other(format!("{image} does not come up"))),
        }
    }

    /// Removes one that nobody has taken, and forgets it.
    async fn drop_member(&self, member: &PoolMember) -> Result<(), PoolError> {
        let going = PoolMember { state: MemberState::Going, seen_in: self.epoch(), ..member.clone() };
        if !self.store.pool_note(&going).await? {
            return Ok(());
        }
        self.probes.forget(member.id);
        self.engine.remove(&Target::Container(member.id)).await?;
        self.engine.remove(&Target::Volume(member.id)).await?;
        Ok(self.store.pool_forget(&self.node, self.epoch(), member.id).await?)
    }
}

fn is_well(seen: &Observed) -> bool {
    let container = seen.container.as_ref();
    let runs = container
        .is_some_and(|container| container.status == ContainerStatus::Running && container.health != Health::Unhealthy);
    runs && seen.volume == Volume::Ours
}

/// What whoever takes one wishes for; None where it is not offered.
fn wish(target: &PoolTarget) -> Option<Wish> {
    let tier = definition(target.kind).offer.as_ref()?.tier(target.tier)?;
    Some(Wish { kind: target.kind, version: target.version.clone(), tier, power: Power::On })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ready_and_is_not_there_any_more_was_taken_unless_it_went_otherwise() {
        let id = |n| InstanceId(Uuid::from_u128(n));
        let ready = |ids: &[u128]| ids.iter().map(|n| (id(*n), "a".to_owned())).collect::<HashMap<_, _>>();
        let (mut demand, now) = (Demand::default(), Timestamp::UNIX_EPOCH);
        demand.note(ready(&[1, 2, 3]), &HashSet::new(), now);
        assert_eq!(demand.of_late("a"), 0);
        demand.note(ready(&[3, 4]), &HashSet::from([id(2)]), now);
        assert_eq!((demand.of_late("a"), demand.of_late("b")), (1, 0));
        demand.note(ready(&[3, 4]), &HashSet::new(), now + LATE);
        assert_eq!(demand.of_late("a"), 0, "that was long ago");
    }
}
