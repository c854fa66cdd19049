//! The server is killed again and again, at moments that chance picks, while what a database holds is backed up, verified,
//! restored and cloned, and is written to all the time. Whatever comes of that holds exactly what was committed up to a moment
//! that a ledger outside allows, and nothing else is left of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;

use crate::backups::{ask, backup, running, sql, things, write_on};
use crate::clones::clone;
use crate::faults::backups::files;
use crate::point_in_time::{count, into_new, keep, reaches, window};
use crate::support::chance::Chance;
use crate::support::client::Client;
use crate::support::docker::owned;
use crate::support::server::Server;
use crate::support::{eventually, within};

/// Kills in a run that is one test of many.
const KILLS: usize = 6;
/// The longest that a server lives, in milliseconds: long enough that some restores end in between.
const LIFE: u64 = 4000;
/// So many kills in a row, and then what was begun is waited for.
const ROW: usize = 3;
/// How many copies there are at once.
const COPIES: usize = 3;
/// How long something may take that is begun anew after each kill.
const LONG: Duration = Duration::from_secs(300);
/// How many rows may be committed beyond those in the ledger.
const AHEAD: u64 = 200;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Work {
    Backup,
    Clone,
    Moment,
    Verify,
    Restore,
}

const WORKS: [Work; 5] = [Work::Backup, Work::Clone, Work::Moment, Work::Verify, Work::Restore];

/// How many rows there may be of something.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    least: u64,
    /// None while it has not ended, for it may have begun anew.
    most: Option<u64>,
}

struct Kept {
    id: String,
    rows: Bounds,
    verifying: bool,
    verified: bool,
}

struct Copy {
    id: String,
    of: Work,
    rows: Bounds,
}

/// Waits until something that was restored or cloned runs, however much else is done beside it.
pub async fn come(client: &Client, id: &str) {
    within(LONG, &format!("{id} to run"), async || {
        let service = client.service(id).await;
        assert!(service["error"].is_null() && service["state"] != "ERROR", "{service}");
        (service["state"] == "RUNNING" && service["operation"].is_null()).then_some(())
    })
    .await;
}

/// The same of a backup.
pub async fn comes_to(client: &Client, id: &str, state: &str) {
    within(LONG, &format!("{id} to be {state}"), async || {
        let backup = backup(client, id).await;
        assert!(backup["state"] != "FAILED" || !backup["phase"].is_null(), "{backup}");
        (backup["state"] == state && backup["phase"].is_null()).then_some(())
    })
    .await;
}

/// Has a backup be restored into a new service.
pub async fn into_another(client: &Client, backup: &str, name: &str) -> String {
    let mutation = "mutation($id: ID!, $name: String!) {
        restoreService(input: {backupId: $id, into: {newService: {name: $name}}}) { service { id } } }";
    let restored = client.data(mutation, json!({"id": backup, "name": name})).await;
    restored["restoreService"]["service"]["id"].as_str().unwrap().to_owned()
}

struct Soak {
    source: String,
    ledger: Arc<AtomicU64>,
    chance: Chance,
    moments: Vec<(Timestamp, Bounds)>,
    backups: Vec<Kept>,
    copies: Vec<Copy>,
    made: usize,
    ended: BTreeMap<Work, usize>,
}

impl Soak {
    fn committed(&self) -> u64 {
        self.ledger.load(Ordering::Relaxed)
    }

    fn since_now(&self) -> Bounds {
        Bounds { least: self.committed(), most: None }
    }

    fn note_moment(&mut self) {
        let least = self.committed();
        let at = Timestamp::now();
        self.moments.push((at, Bounds { least, most: Some(self.committed() + AHEAD) }));
    }

    fn name(&mut self) -> String {
        self.made += 1;
        format!("copy-{}", self.made)
    }

    /// Has something be done, if there is what it takes.
    async fn begin(&mut self, client: &Client, work: Work) {
        let rows = self.since_now();
        if matches!(work, Work::Clone | Work::Moment | Work::Restore) && self.copies.len() == COPIES {
            return;
        }
        match work {
            Work::Backup => {
                let mutation = "mutation($id: ID!) { createBackup(input: {id: $id}) { backup { id origin } } }";
                let made = client.data(mutation, json!({"id": self.source})).await["createBackup"]["backup"].take();
                let id = made["id"].as_str().unwrap().to_owned();
                // One that was under way was begun before.
                if made["origin"] == "MANUAL" && self.backups.iter().all(|kept| kept.id != id) {
                    self.backups.push(Kept { id, rows, verifying: false, verified: false });
                }
            }
            Work::Verify => {
                let fits = |kept: &&mut Kept| kept.rows.most.is_some() && !kept.verifying && !kept.verified;
                let Some(kept) = self.backups.iter_mut().find(fits) else { return };
                let asked = ask(client, "verifyBackup", &kept.id).await;
                assert!(asked["errors"].is_null(), "{asked}");
                kept.verifying = true;
            }
            Work::Clone => {
                let name = self.name();
                let id = clone(client, &self.source, &name).await;
                self.copies.push(Copy { id, of: work, rows });
            }
            Work::Restore => {
                let whole: Vec<_> = self.backups.iter().filter(|kept| kept.rows.most.is_some()).collect();
                if whole.is_empty() {
                    return;
                }
                let kept = whole[self.chance.below(whole.len())];
                let (backup, rows) = (kept.id.clone(), kept.rows);
                let id = into_another(client, &backup, &self.name()).await;
                self.copies.push(Copy { id, of: work, rows });
            }
            Work::Moment => {
                let window = window(client, &self.source).await.unwrap();
                let within = |at: Timestamp| window.earliest <= at && at <= window.latest;
                let known: Vec<_> = self.moments.iter().copied().filter(|(at, _)| within(*at)).collect();
                if known.is_empty() {
                    return;
                }
                let (at, rows) = known[self.chance.below(known.len())];
                let name = self.name();
                let id = into_new(client, &self.source, at, &name).await;
                self.copies.push(Copy { id, of: work, rows });
            }
        }
    }

    /// Waits for all that was begun, and sees what has come of it.
    async fn settle(&mut self, server: &Server, client: &Client) {
        for kept in &mut self.backups {
            if kept.rows.most.is_none() {
                comes_to(client, &kept.id, "AVAILABLE").await;
                kept.rows.most = Some(self.ledger.load(Ordering::Relaxed) + AHEAD);
                *self.ended.entry(Work::Backup).or_default() += 1;
            } else if kept.verifying {
                comes_to(client, &kept.id, "VERIFIED").await;
                (kept.verifying, kept.verified) = (false, true);
                *self.ended.entry(Work::Verify).or_default() += 1;
            }
        }
        for copy in std::mem::take(&mut self.copies) {
            come(client, &copy.id).await;
            let most = copy.rows.most.unwrap_or_else(|| self.committed() + AHEAD);
            let rows = u64::try_from(count(client, server, &copy.id).await).unwrap();
            assert!((copy.rows.least..=most).contains(&rows), "{:?}: {rows} of {:?} to {most}", copy.of, copy.rows);
            *self.ended.entry(copy.of).or_default() += 1;
            client.act("destroyService", &copy.id).await;
            client.settled(&copy.id, "DESTROYED").await;
        }
        eventually("nothing to be left but the database", async || (things(server) == (1, 1)).then_some(())).await;
    }

    /// Every backup that is shown is whole where it is kept, and there is none that is not shown.
    async fn check_kept(&self, server: &Server, client: &Client) {
        let query = "query($id: ID!) { service(id: $id) { backups(first: 100) { nodes { state location } } } }";
        let data = client.data(query, json!({"id": self.source})).await;
        let mut expected = BTreeSet::new();
        for backup in data["service"]["backups"]["nodes"].as_array().unwrap() {
            assert!(["AVAILABLE", "VERIFIED"].contains(&backup["state"].as_str().unwrap()), "{backup}");
            let location = backup["location"].as_str().unwrap();
            expected.extend([format!("{location}.json"), format!("{location}.zst.sealed")]);
        }
        let kept = server.directory().join("backups");
        let objects: BTreeSet<_> = files(&kept)
            .iter()
            .map(|path| path.strip_prefix(&kept).unwrap().display().to_string())
            .filter(|path| !path.contains("/log/"))
            .collect();
        assert_eq!(objects, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_server_is_killed_what_was_committed_is_kept_and_comes_back() {
    let begun = Instant::now();
    let kills = std::env::var("SOAK_KILLS").ok().map_or(KILLS, |kills| kills.parse().unwrap());
    let mut server = Server::start(&[]).await;
    let mut client = Client::new(&server);
    let source = running(&client, "POSTGRESQL", "17").await;
    let credentials = client.reveal(&source).await;
    let url = &credentials["DATABASE_URL"];
    sql(&server, url, "CREATE TABLE ledger (n bigint PRIMARY KEY, filling text)").unwrap();
    keep(&client, &source, true).await;
    let (ledger, done, writing) = write_on(&source, &credentials["PGUSER"], &credentials["PGDATABASE"]);
    reaches(&client, &source, Timestamp::UNIX_EPOCH).await;
    let mut soak = Soak {
        source: source.clone(),
        ledger: Arc::clone(&ledger),
        chance: Chance::of("SOAK_SEED"),
        moments: Vec::new(),
        backups: Vec::new(),
        copies: Vec::new(),
        made: 0,
        ended: BTreeMap::new(),
    };

    for kill in 1..=kills {
        soak.note_moment();
        let another = soak.chance.below(WORKS.len());
        for work in [WORKS[(kill - 1) % WORKS.len()], WORKS[another]] {
            soak.begin(&client, work).await;
        }
        // Not a wait for something: this is the random moment.
        tokio::time::sleep(Duration::from_millis(soak.chance.next() % LIFE)).await;
        server.kill();
        server.restart().await;
        client = Client::new(&server);
        if kill % ROW == 0 || kill == kills {
            soak.settle(&server, &client).await;
        }
    }

    reaches(&client, &source, soak.moments.last().unwrap().0).await;
    for work in [Work::Moment, Work::Restore] {
        soak.begin(&client, work).await;
    }
    soak.settle(&server, &client).await;
    done.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    assert_eq!(u64::try_from(count(&client, &server, &source).await).unwrap(), soak.committed());
    let seen = window(&client, &source).await.unwrap();
    assert!(seen.gaps.is_empty(), "{seen:?}");
    let slots = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(sql(&server, url, slots).unwrap(), "0", "nothing of it is left in the source");
    soak.check_kept(&server, &client).await;
    eprintln!("{kills} kills, {} rows, {:?} in {:.0?}", soak.committed(), soak.ended, begun.elapsed());
    client.act("destroyService", &source).await;
    client.settled(&source, "DESTROYED").await;
    assert_eq!(owned(&server.test), [] as [String; 0]);
}
