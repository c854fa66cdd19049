//! Several that use the same database, one after the other or together.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::task::JoinSet;

use super::fixture::{Database, append, create, project, service};
use super::{read, sequences};

contract! {
    the_installation_is_the_same_for_all_who_ask,
    a_restart_keeps_everything,
    handles_that_open_an_empty_database_together_all_succeed,
    a_call_that_is_dropped_midway_leaves_nothing_behind,
}

async fn the_installation_is_the_same_for_all_who_ask(database: Database) {
    let stores = [database.connect().await, database.connect().await];
    let mut calls = JoinSet::new();
    for number in 0..16 {
        let store = Arc::clone(&stores[number % 2]);
        calls.spawn(async move { store.installation_id().await.unwrap() });
    }
    let mut ids = calls.join_all().await;
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(database.connect().await.installation_id().await.unwrap(), ids[0]);
}

async fn a_restart_keeps_everything(database: Database) {
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let kept = (
        read(&*store, service.id).await,
        store.sealed_get(service.id).await.unwrap(),
        store.event_list_since(&project("demo"), 0, 10).await.unwrap(),
        store.installation_id().await.unwrap(),
    );
    drop(store);
    let store = database.connect().await;
    let found = (
        read(&*store, service.id).await,
        store.sealed_get(service.id).await.unwrap(),
        store.event_list_since(&project("demo"), 0, 10).await.unwrap(),
        store.installation_id().await.unwrap(),
    );
    assert_eq!(found, kept);
    append(&*store, &service, "x").await.unwrap();
    assert_eq!(sequences(&*store, "demo").await, [1, 2]);
}

async fn handles_that_open_an_empty_database_together_all_succeed(database: Database) {
    let database = Arc::new(database);
    let mut handles = JoinSet::new();
    for _ in 0..6 {
        let database = Arc::clone(&database);
        handles.spawn(async move { database.connect().await.ping().await.unwrap() });
    }
    handles.join_all().await;
}

/// Polls a future so many times at the most, and drops it.
async fn drop_after<F: Future>(polls: usize, future: F) {
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|context| {
        polled += 1;
        if polled > polls { Poll::Ready(()) } else { future.as_mut().poll(context).map(drop) }
    })
    .await;
}

async fn a_call_that_is_dropped_midway_leaves_nothing_behind(database: Database) {
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let other = database.connect().await;
    for polls in 1..30 {
        drop_after(polls, append(&*store, &service, "dropped")).await;
        // Whatever it had locked is free again, though nobody has asked for its connection since.
        append(&*other, &service, "kept").await.unwrap();
    }
    let events = store.event_list_since(&project("demo"), 0, 1000).await.unwrap();
    assert!(events.iter().enumerate().all(|(index, event)| event.sequence == i64::try_from(index).unwrap() + 1));
    assert_eq!(events.iter().filter(|event| event.message == "kept").count(), 29);
}
