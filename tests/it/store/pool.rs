//! The instances that are ready before anybody asks for them.

use jiff::Timestamp;
use project_services::catalog::definition;
use project_services::crypto::{Sealed, Sealer};
use project_services::domain::event::NewEvent;
use project_services::domain::id::{InstanceId, ServiceId};
use project_services::domain::node::NodeName;
use project_services::domain::pool::{MemberState, PoolMember};
use project_services::domain::service::{Published, ServiceKind, SizeTier};
use project_services::store::{NewService, Store, StoreError};
use uuid::Uuid;

use super::fixture::{Database, begin_term, new, ports, service};

contract! {
    one_that_is_ready_is_taken_once_and_in_the_term_in_which_it_was_seen,
    of_many_who_want_one_each_gets_another,
}

fn member(n: u128, seen_in: i64) -> PoolMember {
    let offer = definition(ServiceKind::Redis).offer.as_ref().unwrap();
    let port = u16::try_from(20_000 + n).unwrap();
    PoolMember {
        id: InstanceId(Uuid::from_u128(n)),
        node: NodeName::default(),
        kind: ServiceKind::Redis,
        version: "7".to_owned(),
        tier: offer.tier(SizeTier::Dev).unwrap(),
        made_of: "a".to_owned(),
        published: Some(Published { address: [127, 0, 0, 1].into(), port }),
        state: MemberState::Making,
        seen_in,
        since: "2026-11-26T12:00:00Z".parse::<Timestamp>().unwrap(),
    }
}

fn sealer() -> Sealer {
    "a:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".parse().unwrap()
}

fn sealed() -> Sealed {
    sealer().seal(ServiceId(Uuid::from_u128(1)), b"secret").unwrap()
}

/// Has a service take it.
async fn take(store: &dyn Store, name: &str, id: InstanceId) -> Result<(), StoreError> {
    let mut taking = service("demo", name);
    taking.instance = id;
    let new = NewService { member: Some(id), ..new(&taking) };
    store.service_create(&new, &NewEvent::provisioned(&taking, "somebody")).await.map(|_| ())
}

async fn one_that_is_ready_is_taken_once_and_in_the_term_in_which_it_was_seen(database: Database) {
    let store = database.connect().await;
    let epoch = begin_term(&*store).await.epoch;
    let making = member(1, epoch);
    store.pool_add(&making, &sealed()).await.unwrap();
    let same_port = PoolMember { id: InstanceId(Uuid::from_u128(9)), ..making.clone() };
    assert!(matches!(store.pool_add(&same_port, &sealed()).await, Err(StoreError::PortTaken)));
    assert_eq!(ports(&*store).await, [20_001], "nobody else is published there");
    assert_eq!(store.pool_find(&NodeName::default(), "a").await.unwrap().map(|found| found.0), None, "it is not ready");
    assert!(matches!(take(&*store, "early", making.id).await, Err(StoreError::Taken)));

    let ready = PoolMember { state: MemberState::Ready, ..making };
    assert!(store.pool_note(&ready).await.unwrap());
    assert_eq!(
        store.pool_find(&NodeName::default(), "b").await.unwrap().map(|found| found.0),
        None,
        "it is made from something else"
    );
    let (found, secret) = store.pool_find(&NodeName::default(), "a").await.unwrap().unwrap();
    assert_eq!(found, ready);
    assert_eq!(sealer().open(ServiceId(Uuid::from_u128(1)), &secret).unwrap().as_slice(), b"secret");

    // In another term it counts once it was seen again.
    let later = begin_term(&*store).await.epoch;
    assert_eq!(store.pool_find(&NodeName::default(), "a").await.unwrap().map(|found| found.0), None);
    assert!(matches!(store.pool_note(&ready).await, Err(StoreError::Deposed)));
    assert!(matches!(store.pool_forget(&NodeName::default(), epoch, ready.id).await, Err(StoreError::Deposed)));
    let seen = PoolMember { seen_in: later, ..ready };
    assert!(store.pool_note(&seen).await.unwrap());
    assert_eq!(store.pool_list(&NodeName::default()).await.unwrap(), std::slice::from_ref(&seen));

    take(&*store, "one", seen.id).await.unwrap();
    assert_eq!(store.service_of(seen.id).await.unwrap().unwrap().name.as_str(), "one");
    assert_eq!(store.pool_list(&NodeName::default()).await.unwrap(), []);
    assert!(matches!(take(&*store, "other", seen.id).await, Err(StoreError::Taken)));
    assert_eq!(store.service_list_active().await.unwrap().len(), 1, "who did not get it is not there");
    assert!(!store.pool_note(&PoolMember { state: MemberState::Going, ..seen.clone() }).await.unwrap());

    let gone = PoolMember { state: MemberState::Going, ..member(2, later) };
    store.pool_add(&gone, &sealed()).await.unwrap();
    store.pool_forget(&NodeName::default(), later, gone.id).await.unwrap();
    assert_eq!(store.pool_list(&NodeName::default()).await.unwrap(), []);
}

async fn of_many_who_want_one_each_gets_another(database: Database) {
    let store = database.connect().await;
    let epoch = begin_term(&*store).await.epoch;
    for n in 1..=4 {
        store.pool_add(&PoolMember { state: MemberState::Ready, ..member(n, epoch) }, &sealed()).await.unwrap();
    }
    let taking = (0..8).map(|n| {
        let store = &store;
        async move {
            while let Some((found, _)) = store.pool_find(&NodeName::default(), "a").await.unwrap() {
                match take(&**store, &format!("service-{n}"), found.id).await {
                    Ok(()) => return Some(found.id),
                    Err(StoreError::Taken) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            None
        }
    });
    let mut taken: Vec<_> = futures_util::future::join_all(taking).await.into_iter().flatten().collect();
    taken.sort_by_key(|id| id.0);
    assert_eq!(taken, (1..=4).map(|n| InstanceId(Uuid::from_u128(n))).collect::<Vec<_>>());
}
