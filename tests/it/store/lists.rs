//! Filters, counts and pages.

use std::sync::Arc;

use project_services::domain::page::ServiceOrder;
use project_services::domain::service::{Service, ServiceKind, ServiceState};
use project_services::store::{Page, ServiceFilter, Slice};

use super::fixture::{Database, append, create, note, project, service, update};
use super::{destroy, later, read};

contract! {
    a_tally_counts_the_services_of_every_project,
    a_filter_finds_what_it_names,
    pages_walk_a_projects_services_both_ways,
    pages_walk_a_services_events_both_ways,
    pages_walk_a_projects_events_both_ways,
    pages_walk_in_every_order,
    a_list_shows_what_was_written_since_it_was_last_read,
    a_search_finds_names_by_a_part_and_nothing_by_signs,
}

async fn a_tally_counts_the_services_of_every_project(database: Database) {
    let store = database.connect().await;
    assert!(store.service_tally().await.unwrap().is_empty());
    for service in [service("demo", "a"), service("demo", "b"), service("other", "c")] {
        create(&*store, &service).await;
    }
    let gone = service("demo", "d");
    create(&*store, &gone).await;
    destroy(&*store, gone.id).await;
    let mut tally = store.service_tally().await.unwrap();
    tally.sort();
    let kind = ServiceKind::Postgresql;
    assert_eq!(tally, [(kind, ServiceState::Pending, 3), (kind, ServiceState::Destroyed, 1)]);
}

async fn a_filter_finds_what_it_names(database: Database) {
    let store = database.connect().await;
    let running = service("demo", "a");
    let mut redis = service("demo", "b");
    redis.wish.kind = ServiceKind::Redis;
    let gone = service("demo", "c");
    for service in [&running, &redis, &gone, &service("other", "d")] {
        create(&*store, service).await;
    }
    let before = read(&*store, running.id).await;
    let after = Service { state: ServiceState::Running, ..before.clone() };
    update(&*store, &before, &after, Some(&note("runs")), later(before.updated_at)).await.unwrap();
    destroy(&*store, gone.id).await;

    let find = async |filter: ServiceFilter| {
        let page = Page { after: None, before: None, limit: 10, from_end: false };
        let found = store.service_list(&project("demo"), &filter, page).await.unwrap();
        let count = store.service_count(&project("demo"), &filter).await.unwrap();
        assert_eq!(count, u64::try_from(found.rows.len()).unwrap());
        found.rows.into_iter().map(|service| service.id).collect::<Vec<_>>()
    };
    let any = ServiceFilter::default();
    assert_eq!(find(any.clone()).await, [running.id, redis.id]);
    assert_eq!(find(ServiceFilter { include_destroyed: true, ..any.clone() }).await, [running.id, redis.id, gone.id]);
    let kinds = |kinds: &[ServiceKind]| ServiceFilter { kinds: Some(kinds.to_vec()), ..any.clone() };
    assert_eq!(find(kinds(&[ServiceKind::Redis])).await, [redis.id]);
    assert_eq!(find(kinds(&[ServiceKind::Redis, ServiceKind::Postgresql])).await, [running.id, redis.id]);
    assert!(find(kinds(&[])).await.is_empty());
    let states = |states: &[ServiceState]| ServiceFilter { states: Some(states.to_vec()), ..any.clone() };
    assert_eq!(find(states(&[ServiceState::Running, ServiceState::Stopped])).await, [running.id]);
    assert!(find(states(&[ServiceState::Destroyed])).await.is_empty());
    let destroyed = ServiceFilter { include_destroyed: true, ..states(&[ServiceState::Destroyed]) };
    assert_eq!(find(destroyed).await, [gone.id]);
    let neither = ServiceFilter { kinds: Some(vec![ServiceKind::Redis]), ..states(&[ServiceState::Running]) };
    assert!(find(neither).await.is_empty());
    let active = store.service_list_active().await.unwrap();
    assert_eq!((active.len(), active.iter().any(|service| service.id == gone.id)), (3, false));
}

/// Checks what pages of a list answer, given how to read one and the list's positions in order.
async fn check_pages<P: Copy + PartialEq + std::fmt::Debug>(all: &[P], page: impl AsyncFn(Page<P>) -> Slice<P>) {
    for from_end in [false, true] {
        let mut seen = Vec::new();
        let mut at = None;
        loop {
            let (after, before) = if from_end { (None, at) } else { (at, None) };
            let slice = page(Page { after, before, limit: 3, from_end }).await;
            at = if from_end { slice.rows.first().copied() } else { slice.rows.last().copied() };
            if from_end {
                seen.splice(0..0, slice.rows);
            } else {
                seen.extend(slice.rows);
            }
            if !slice.has_more {
                break;
            }
        }
        assert_eq!(seen, all, "from_end: {from_end}");
    }
    let exact = u32::try_from(all.len()).unwrap();
    for (limit, from_end, expected, more) in [
        (exact, false, all, false),
        (exact, true, all, false),
        (2, false, &all[..2], true),
        (2, true, &all[all.len() - 2..], true),
        (0, false, &all[..0], true),
    ] {
        let slice = page(Page { after: None, before: None, limit, from_end }).await;
        assert_eq!((slice.rows.as_slice(), slice.has_more), (expected, more), "{limit} from_end: {from_end}");
    }
    let (after, before) = (Some(all[1]), Some(all[5]));
    let inner = page(Page { after, before, limit: 2, from_end: true }).await;
    assert_eq!((inner.rows.as_slice(), inner.has_more), (&all[3..5], true));
    let inner = page(Page { after, before, limit: 3, from_end: false }).await;
    assert_eq!((inner.rows.as_slice(), inner.has_more), (&all[2..5], false));
}

async fn pages_walk_a_projects_services_both_ways(database: Database) {
    let store = database.connect().await;
    let mut all = Vec::new();
    for number in 0..7 {
        let service = service("demo", &format!("db-{number}"));
        create(&*store, &service).await;
        create(&*store, &self::service("other", &format!("db-{number}"))).await;
        all.push(service.id);
    }
    check_pages(&all, async |page| {
        let slice = store.service_list(&project("demo"), &ServiceFilter::default(), page).await.unwrap();
        Slice { rows: slice.rows.into_iter().map(|service| service.id).collect(), has_more: slice.has_more }
    })
    .await;
}

async fn a_list_shows_what_was_written_since_it_was_last_read(database: Database) {
    let (store, another) = (database.connect().await, database.connect().await);
    let [first, last] = ["first", "last"].map(|name| service("demo", name));
    create(&*store, &first).await;
    create(&*store, &last).await;
    let page = Page { after: None, before: None, limit: 100, from_end: false };
    let listed = async |filter: &ServiceFilter| {
        let slice = store.service_list(&project("demo"), filter, page).await.unwrap();
        slice.rows.into_iter().map(Arc::unwrap_or_clone).collect::<Vec<_>>()
    };
    let all = ServiceFilter { include_destroyed: true, ..ServiceFilter::default() };
    let were = [read(&*store, first.id).await, read(&*store, last.id).await];
    for _ in 0..2 {
        assert_eq!(listed(&all).await, were);
    }
    destroy(&*another, first.id).await;
    append(&*another, &last, "written elsewhere").await.unwrap();
    let are = [read(&*store, first.id).await, read(&*store, last.id).await];
    assert_eq!((listed(&all).await, are[0].state), (are.to_vec(), ServiceState::Destroyed));
    assert_eq!(listed(&ServiceFilter::default()).await, are[1..]);
}

async fn pages_walk_a_services_events_both_ways(database: Database) {
    let store = database.connect().await;
    let (mine, other, nobody) = (service("demo", "mine"), service("demo", "other"), service("demo", "nobody"));
    create(&*store, &mine).await;
    create(&*store, &other).await;
    let mut all = vec![1];
    for number in 0..6 {
        append(&*store, &other, "other").await.unwrap();
        all.push(append(&*store, &mine, &number.to_string()).await.unwrap().sequence);
    }
    check_pages(&all, async |page| {
        let slice = store.event_list_of_service(mine.id, page).await.unwrap();
        assert!(slice.rows.iter().all(|event| event.service == mine.id));
        for service in [mine.id, other.id] {
            let alone = store.event_list_of_service(service, page).await.unwrap();
            let many = store.event_list_of_services(&[other.id, nobody.id, mine.id], page).await.unwrap();
            let found = many.into_iter().find(|(of, _)| *of == service).map(|(_, slice)| slice);
            let found = found.unwrap_or(Slice { rows: Vec::new(), has_more: false });
            assert_eq!((found.rows, found.has_more), (alone.rows, alone.has_more), "{page:?}");
        }
        Slice { rows: slice.rows.into_iter().map(|event| event.sequence).collect(), has_more: slice.has_more }
    })
    .await;
}

async fn pages_walk_a_projects_events_both_ways(database: Database) {
    let store = database.connect().await;
    let (one, two) = (service("demo", "one"), service("demo", "two"));
    create(&*store, &one).await;
    create(&*store, &two).await;
    create(&*store, &service("other", "three")).await;
    for number in 0..5 {
        append(&*store, if number % 2 == 0 { &one } else { &two }, &number.to_string()).await.unwrap();
    }
    let all: Vec<i64> = (1..=7).collect();
    check_pages(&all, async |page| {
        let slice = store.event_list(&project("demo"), page).await.unwrap();
        assert!(slice.rows.iter().all(|event| event.revision == Some(1)));
        Slice { rows: slice.rows.into_iter().map(|event| event.sequence).collect(), has_more: slice.has_more }
    })
    .await;
}

async fn pages_walk_in_every_order(database: Database) {
    let store = database.connect().await;
    let mut services = Vec::new();
    for name in ["d", "b", "a", "g", "b", "e", "b"] {
        let service = service("demo", name);
        create(&*store, &service).await;
        // Its name is free then.
        destroy(&*store, service.id).await;
        services.push((name, service.id));
    }
    let created: Vec<_> = services.iter().map(|(_, id)| *id).collect();
    services.sort();
    let named: Vec<_> = services.iter().map(|(_, id)| *id).collect();
    let reversed = |ids: &[_]| ids.iter().rev().copied().collect::<Vec<_>>();
    for (order, all) in [
        (ServiceOrder::Created, created.clone()),
        (ServiceOrder::CreatedLast, reversed(&created)),
        (ServiceOrder::Name, named.clone()),
        (ServiceOrder::NameLast, reversed(&named)),
    ] {
        let filter = ServiceFilter { include_destroyed: true, order, ..ServiceFilter::default() };
        check_pages(&all, async |page| {
            let slice = store.service_list(&project("demo"), &filter, page).await.unwrap();
            Slice { rows: slice.rows.into_iter().map(|service| service.id).collect(), has_more: slice.has_more }
        })
        .await;
    }
}

async fn a_search_finds_names_by_a_part_and_nothing_by_signs(database: Database) {
    let store = database.connect().await;
    for name in ["orders", "old-orders-2", "cache"] {
        create(&*store, &service("demo", name)).await;
    }
    for (part, found) in [("order", 2), ("orders-", 1), ("a", 1), ("x", 0), ("%", 0), ("_", 0), ("\\", 0), ("o%s", 0)] {
        let filter = ServiceFilter { name_contains: Some(part.to_owned()), ..ServiceFilter::default() };
        assert_eq!(store.service_count(&project("demo"), &filter).await.unwrap(), found, "{part}");
    }
}
