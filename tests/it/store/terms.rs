//! Who may reconcile.

use project_services::domain::event::NewEvent;
use project_services::domain::node::NodeName;
use project_services::domain::service::{Service, ServiceState};
use project_services::domain::term::{ReplicaId, Term};
use project_services::store::{Guard, Reseal, StoreError, Write};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::fixture::{Database, create, seal, service};
use super::{later, read, sequences};

contract! {
    of_those_who_want_to_reconcile_one_does,
    what_a_deposed_reconciler_writes_is_refused,
    each_node_has_a_term_of_its_own,
}

async fn of_those_who_want_to_reconcile_one_does(database: Database) {
    let store = database.connect().await;
    let free = store.term_current(&NodeName::default()).await.unwrap();
    assert_eq!((free.holder, free.epoch), (None, 0));
    let mut takers = JoinSet::new();
    for _ in 0..8 {
        let (store, free) = (database.connect().await, free.clone());
        takers.spawn(async move { store.term_take(&free, ReplicaId(Uuid::now_v7())).await.unwrap() });
    }
    let taken: Vec<Term> = takers.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(store.term_current(&NodeName::default()).await.unwrap(), taken[0]);

    let renewed = store.term_renew(&taken[0]).await.unwrap().unwrap();
    assert_eq!((renewed.epoch, renewed.beat), (1, 1));
    assert_eq!(store.term_renew(&taken[0]).await.unwrap(), None, "what was seen has moved on");
    assert_eq!(store.term_take(&taken[0], ReplicaId(Uuid::now_v7())).await.unwrap(), None);
    let second = store.term_take(&renewed, ReplicaId(Uuid::now_v7())).await.unwrap().unwrap();
    assert_eq!(store.term_renew(&renewed).await.unwrap(), None);
    store.term_release(&renewed).await.unwrap();
    assert_eq!(store.term_current(&NodeName::default()).await.unwrap(), second, "an old holder releases nothing");
    store.term_release(&second).await.unwrap();
    assert_eq!(store.term_current(&NodeName::default()).await.unwrap().holder, None);
}

async fn what_a_deposed_reconciler_writes_is_refused(database: Database) {
    let store = database.connect().await;
    let before = service("demo", "db");
    create(&*store, &before).await;
    let before = read(&*store, before.id).await;
    let after = Service { state: ServiceState::Provisioning, ..before.clone() };
    let now = later(before.updated_at);
    let event = NewEvent::of_change(&before, &after, None, now);

    let free = store.term_current(&NodeName::default()).await.unwrap();
    let first = store.term_take(&free, ReplicaId(Uuid::now_v7())).await.unwrap().unwrap();
    let second = store.term_take(&first, ReplicaId(Uuid::now_v7())).await.unwrap().unwrap();
    let old = store.sealed_get(before.id).await.unwrap().unwrap();
    let reseal = Reseal { old: old.clone(), new: seal("k1", before.id, "another") };
    let changed = Write { service: Some(&after), event: event.as_ref(), ..Write::new(Guard::Revision(&before), now) };
    let resealed = Write { sealed: Some(&reseal), ..Write::new(Guard::Revision(&before), now) };
    let within = |term: &Term| Guard::Term { epoch: term.epoch, read: &before };
    for write in [changed, resealed] {
        let refused = store.commit(Write { guard: within(&first), ..write }).await;
        assert!(matches!(refused, Err(StoreError::Deposed)), "{refused:?}");
    }
    assert_eq!(store.sealed_get(before.id).await.unwrap().unwrap(), old);
    assert_eq!(read(&*store, before.id).await, before);
    assert_eq!(sequences(&*store, "demo").await, [1]);
    let kept = store.commit(Write { guard: within(&second), ..resealed }).await.unwrap();
    assert_eq!((kept.service, kept.event), (before.clone(), None), "neither a revision nor an event");
    let written = store.commit(Write { guard: within(&second), ..changed }).await.unwrap();
    assert_eq!(written.service.state, ServiceState::Provisioning);
    assert_eq!(sequences(&*store, "demo").await, [1, 2]);
}

async fn each_node_has_a_term_of_its_own(database: Database) {
    let store = database.connect().await;
    let (here, there) = (NodeName::default(), "there".parse::<NodeName>().unwrap());
    let begin = async |node: &NodeName| {
        let seen = store.term_current(node).await.unwrap();
        store.term_take(&seen, ReplicaId(Uuid::now_v7())).await.unwrap().unwrap()
    };
    begin(&here).await;
    let (of_here, of_there) = (begin(&here).await, begin(&there).await);
    assert_eq!((of_here.epoch, of_there.epoch), (2, 1));
    assert_eq!(store.term_renew(&of_here).await.unwrap().unwrap().node, here);

    let accepted = service("demo", "db");
    create(&*store, &accepted).await;
    let before = read(&*store, accepted.id).await;
    assert_eq!(before.node, here, "where nobody says where");
    let moved = Service { node: there.clone(), ..before.clone() };
    let write = async |term: &Term, read: &Service| {
        let guard = Guard::Term { epoch: term.epoch, read };
        store.commit(Write { service: Some(&moved), ..Write::new(guard, later(read.updated_at)) }).await
    };
    assert!(matches!(write(&of_there, &before).await, Err(StoreError::Deposed)));
    let after = write(&of_here, &before).await.unwrap().service;
    assert!(matches!(write(&of_here, &after).await, Err(StoreError::Deposed)), "it is another node's by now");
    let ids = async |node| store.service_list_revisions(node).await.unwrap().into_iter().map(|(id, _)| id).collect();
    let (left, found): (Vec<_>, Vec<_>) = (ids(&here).await, ids(&there).await);
    assert_eq!((left, found), (Vec::new(), vec![after.id]));
    write(&of_there, &after).await.unwrap();
}
