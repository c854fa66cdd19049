//! The real router on a real port, over a SQLite store of its own, and clients for it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use project_services::api::fan_out::FanOut;
use project_services::app::{App, Terms};
use project_services::auth::{KeySource, TokenSettings, Verifier};
use project_services::catalog::offering::Offering;
use project_services::catalog::policy::Policy;
use project_services::clock::Clock;
use project_services::crypto::Sealer;
use project_services::domain::address::Publishing;
use project_services::domain::backup::{Backup, BackupOrigin, BackupState};
use project_services::domain::event::NewEvent;
use project_services::domain::id::{BackupId, InstallationId, InstanceId, ProjectId, ServiceId};
use project_services::domain::instance::{Instance, Role};
use project_services::domain::node::{Capacity, NodeName, NodeRecord};
use project_services::domain::placement::PlacementRules;
use project_services::domain::service::{Service, ServiceState};
use project_services::hints::Hints;
use project_services::http::{self, Parts, Ready, SocketLimits};
use project_services::repository::{ContentKey, Manifest, Object, Repository, RepositoryUrl, Secret};
use project_services::server;
use project_services::store::{Guard, Page, ServiceFilter, Store, Write};
use project_services::{api, store};
use reqwest::header;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::chain::Logs;
use crate::instruments::{FakeInstruments, fleet};

/// A page of another origin that the servers of the tests allow.
pub const ALLOWED_ORIGIN: &str = "https://app.example";

pub const SECRET: &str = "a secret of the tests, long enough for HS256";

/// How long a test waits for what has to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const BOTH: &[&str] = &["project:settings", "project:delete"];

pub const READY: Ready = Ready { store: Ok(()), engine: Ok(()), nodes: Vec::new(), keys: Ok(()) };
/// What a server limits.
#[derive(Clone)]
pub struct Limits {
    pub requests: api::Limits,
    pub wire: http::Limits,
    pub sockets: SocketLimits,
    pub services: u32,
    /// The system's where there is none.
    pub clock: Option<Clock>,
    pub offering: Offering,
}

impl Default for Limits {
    fn default() -> Self {
        let (requests, wire, sockets, offering) = Default::default();
        Self { requests, wire, sockets, services: 100, clock: None, offering }
    }
}

/// Tries until something comes out.
pub async fn eventually<T>(what: &str, attempt: impl AsyncFn() -> Option<T>) -> T {
    let trying = async {
        loop {
            if let Some(outcome) = attempt().await {
                return outcome;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, trying).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

pub struct Server {
    pub address: SocketAddr,
    pub store: Arc<dyn Store>,
    pub hints: Arc<Hints>,
    pub sealer: Arc<Sealer>,
    pub instruments: Arc<FakeInstruments>,
    pub shutdown: CancellationToken,
    pub sockets: TaskTracker,
    pub client: reqwest::Client,
    pub fan_out: Arc<FanOut>,
    _executor: http::Executor,
    /// Where the store is, as `store.db`.
    pub directory: tempfile::TempDir,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(SocketLimits::default(), None, READY).await
    }

    pub async fn start_with_limits(limits: SocketLimits) -> Self {
        Self::start_with(limits, None, READY).await
    }

    pub async fn start_with(socket_limits: SocketLimits, publishing: Option<Publishing>, ready: Ready) -> Self {
        let tokens = TokenSettings::new(KeySource::Secret(SECRET.to_owned().into()));
        Self::start_verifying(&tokens, socket_limits, publishing, ready).await
    }

    pub async fn start_verifying(
        tokens: &TokenSettings,
        sockets: SocketLimits,
        publishing: Option<Publishing>,
        ready: Ready,
    ) -> Self {
        Self::start_with_all(tokens, Limits { sockets, ..Limits::default() }, publishing, ready).await
    }

    pub async fn start_limited(limits: Limits) -> Self {
        let tokens = TokenSettings::new(KeySource::Secret(SECRET.to_owned().into()));
        Self::start_with_all(&tokens, limits, None, READY).await
    }

    async fn start_with_all(
        tokens: &TokenSettings,
        limits: Limits,
        publishing: Option<Publishing>,
        ready: Ready,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("store.db").display());
        let store = store::connect(&url.parse().unwrap(), None).await.unwrap();
        let node = NodeRecord {
            engine: Some("28".to_owned()),
            ..NodeRecord::unseen(NodeName::default(), Capacity::default())
        };
        store.node_note(&node).await.unwrap();
        let hints = Arc::new(Hints::default());
        let key = format!("k1:{}=", "A".repeat(43));
        let sealer: Arc<Sealer> = Arc::new(key.parse().unwrap());
        let instruments = Arc::<FakeInstruments>::default();
        let shown = fleet(Arc::clone(&instruments));
        // In which a project named `host` can't have a network of its own.
        let networks = "{project}".parse().unwrap();
        let terms = Terms {
            networks,
            publishing,
            services_per_project: limits.services,
            keep_replaced: SignedDuration::from_hours(1),
            backup_policy: None,
            recovery_days: 7,
            repository: repository(directory.path()),
            policy: Policy::default(),
            offering: limits.offering,
            placement: PlacementRules::default(),
            has_pool: false,
        };
        let app = Arc::new(App::new(Arc::clone(&store), Arc::clone(&sealer), Arc::clone(&hints), shown, terms));
        let limiter = Arc::new(http::Limiter::new(limits.wire));
        let (shutdown, sockets) = (CancellationToken::new(), TaskTracker::new());
        let executor = http::Executor::new().unwrap();
        let schema = api::schema(Arc::clone(&app), limits.requests, limits.clock.unwrap_or_else(Clock::system));
        let fan_out = Arc::clone(schema.fan_out());
        let router = http::router(Parts {
            schema,
            executor: executor.handle(),
            verifier: Arc::new(Verifier::new(tokens)),
            downloads: server::downloads(app),
            readiness: Arc::new(move || {
                let ready = ready.clone();
                Box::pin(async move { ready })
            }),
            allowed_origins: [ALLOWED_ORIGIN.parse().unwrap()].into(),
            shutdown: shutdown.clone(),
            sockets: sockets.clone(),
            limiter: Arc::clone(&limiter),
            socket_limits: limits.sockets,
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(http::serve(listener, router, limiter, shutdown.clone()));
        Self {
            address,
            store,
            hints,
            sealer,
            instruments,
            shutdown,
            sockets,
            client: reqwest::Client::new(),
            fan_out,
            _executor: executor,
            directory,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn post(&self, token: Option<&str>, body: &Value) -> reqwest::RequestBuilder {
        let request = self.client.post(self.url("/graphql")).json(body);
        match token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    /// The response body of a request by POST.
    pub async fn run(&self, token: &str, query: &str, variables: Value) -> Value {
        let body = json!({"query": query, "variables": variables});
        self.post(Some(token), &body).send().await.unwrap().json().await.unwrap()
    }

    /// The data of a request that has to succeed.
    pub async fn data(&self, token: &str, query: &str, variables: Value) -> Value {
        let body = self.run(token, query, variables).await;
        assert!(body["errors"].is_null(), "{query}: {body}");
        body["data"].clone()
    }

    /// Provisions a service and gives back its id.
    pub async fn provision(&self, token: &str, input: Value) -> String {
        let query = "mutation($input: ProvisionServiceInput!) { provisionService(input: $input) { service { id } } }";
        let data = self.data(token, query, json!({"input": input})).await;
        data["provisionService"]["service"]["id"].as_str().unwrap().to_owned()
    }

    pub async fn service(&self, id: &str) -> Service {
        self.store.service_get(id.parse().unwrap()).await.unwrap().unwrap()
    }

    /// Brings a service into a settled state, as the reconciler would.
    pub async fn settle(&self, id: &str, state: ServiceState) -> Service {
        let before = self.service(id).await;
        let mut after = before.clone();
        after.state = state;
        after.operation = None;
        let now = Timestamp::now();
        let event = NewEvent::of_change(&before, &after, None, now);
        let write = Write { service: Some(&after), event: event.as_ref(), ..Write::new(Guard::Revision(&before), now) };
        let service = self.store.commit(write).await.unwrap().service;
        self.hints.project_changed(&service.project);
        service
    }

    /// Has a service keep an instance that it was run by before.
    pub async fn keep_another(&self, id: &str) {
        let (service, now) = (self.service(id).await, Timestamp::now());
        let of = Instance::replaced(&service, Role::Replaced, SignedDuration::from_hours(1), now);
        let replaced = Instance { id: InstanceId(uuid::Uuid::now_v7()), version: "6".to_owned(), ..of };
        let write = Write { instances: &[replaced], ..Write::new(Guard::Revision(&service), now) };
        self.store.commit(write).await.unwrap();
    }

    /// Has a service have a backup that is kept, whose id has the digits of the service's.
    pub async fn keep_backup(&self, id: &str) -> Backup {
        let (service, now) = (self.service(id).await, Timestamp::now());
        let backup_id = BackupId(service.id.0);
        let object = Object::new(&service.project, &service.name, service.id, backup_id, now);
        let access = self.store.sealed_get(service.id).await.unwrap().unwrap();
        let access = self.sealer.open(service.id, &access).unwrap();
        let (repository, secret) =
            (repository(self.directory.path()), Secret { key: ContentKey::random().unwrap(), access });
        let content = futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"what it holds"))]).boxed();
        let written = repository.write(&object, content, &secret.key, &watch::Sender::new(0)).await.unwrap();
        let manifest = Manifest {
            format: 1,
            backup: backup_id,
            service: service.id,
            service_name: service.name.to_string(),
            project: service.project.clone(),
            installation: InstallationId(uuid::Uuid::nil()),
            kind: service.wish.kind,
            version: service.wish.version.clone(),
            tier: service.wish.tier,
            instance: None,
            image: None,
            content: "redis-rdb".to_owned(),
            facts: Default::default(),
            begun_at: now,
            ended_at: now,
            note: None,
            origin: None,
            verification: None,
            written: written.clone(),
            object: object.as_str().to_owned(),
        };
        repository.write_manifest(&manifest, &secret, &self.sealer).await.unwrap();
        let asked = Backup::new(backup_id, &service, BackupOrigin::Manual, None, now);
        let backup = Backup {
            state: BackupState::Available,
            phase: None,
            object: Some(manifest.object),
            content_bytes: written.content_bytes,
            stored_bytes: Some(written.stored_bytes),
            begun_at: Some(now),
            ended_at: Some(now),
            ..asked
        };
        let backups = std::slice::from_ref(&backup);
        self.store.commit(Write { backups, ..Write::new(Guard::Revision(&service), now) }).await.unwrap();
        backup
    }

    /// Appends `count` events to a service's log.
    pub async fn append(&self, id: &str, count: usize) {
        let service = self.service(id).await;
        for _ in 0..count {
            let event = NewEvent::credentials_revealed(&service, "tests", Timestamp::now());
            let guard = Guard::State { read: &service, one_of: ServiceState::ALL };
            self.store.commit(Write { event: Some(&event), ..Write::new(guard, event.occurred_at) }).await.unwrap();
        }
        self.hints.project_changed(&service.project);
    }

    /// How many services and events a project has: the same before and after where nothing was written.
    pub async fn written(&self, project: &str) -> (u64, i64) {
        let project: ProjectId = project.parse().unwrap();
        let all = ServiceFilter { include_destroyed: true, ..ServiceFilter::default() };
        let services = self.store.service_count(&project, &all).await.unwrap();
        (services, self.store.event_span(&project).await.unwrap().last)
    }

    /// The messages of a service's events.
    pub async fn events(&self, id: &str) -> Vec<(String, Option<String>)> {
        let page = Page { after: None, before: None, limit: 100, from_end: false };
        let id: ServiceId = id.parse().unwrap();
        let events = self.store.event_list_of_service(id, page).await.unwrap().rows;
        events.into_iter().map(|event| (event.message, event.actor)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        Logs::of_sqlite(&self.directory.path().join("store.db")).check();
    }
}

/// A token for `ada` that is good for an hour.
pub fn token(projects: &[&str], permissions: &[&str]) -> String {
    sign(&json!({"sub": "ada", "exp": in_seconds(3600), "projects": projects, "permissions": permissions}))
}

/// A token for project `demo` with both permissions.
pub fn demo() -> String {
    token(&["demo"], BOTH)
}

/// A token of another subject's for project `demo`, with both permissions.
pub fn sign_as(subject: &str) -> String {
    sign(&json!({"sub": subject, "exp": in_seconds(3600), "projects": ["demo"], "permissions": BOTH}))
}

pub fn sign(claims: &Value) -> String {
    sign_with(claims, Algorithm::HS256, SECRET)
}

pub fn sign_with(claims: &Value, algorithm: Algorithm, secret: &str) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

pub fn in_seconds(seconds: i64) -> i64 {
    Timestamp::now().as_second() + seconds
}

/// The code of a response's first error.
pub fn code(body: &Value) -> &str {
    body["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("no coded error in {body}"))
}

/// Code and field of a response's first error.
pub fn code_and_field(body: &Value) -> (&str, &str) {
    (code(body), body["errors"][0]["extensions"]["field"].as_str().unwrap_or(""))
}

/// A WebSocket client that says and hears exactly what a test wants.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

#[derive(Debug, PartialEq)]
pub enum Heard {
    Json(Value),
    /// With its close code.
    Closed(u16),
}

impl Socket {
    pub async fn open(server: &Server, protocol: &str, authorization: Option<&str>) -> Self {
        let mut request = format!("ws://{}/graphql", server.address).into_client_request().unwrap();
        if !protocol.is_empty() {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        if let Some(authorization) = authorization {
            request.headers_mut().insert("authorization", authorization.parse().unwrap());
        }
        // tokio-tungstenite refuses an answer without the subprotocol that it asked for.
        Self(connect_async(request).await.unwrap().0)
    }

    /// A connection of the newer protocol, at an address with parameters.
    pub async fn open_at(server: &Server, path: &str) -> Self {
        let mut request = format!("ws://{}{path}", server.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        Self(connect_async(request).await.unwrap().0)
    }

    /// A connection of the newer protocol, acknowledged.
    pub async fn ready(server: &Server, token: Option<&str>) -> Self {
        let mut socket = Self::open(server, "graphql-transport-ws", None).await;
        let payload = token.map(|token| json!({"Authorization": format!("Bearer {token}")}));
        socket.say(json!({"type": "connection_init", "payload": payload})).await;
        assert_eq!(socket.json().await, json!({"type": "connection_ack"}));
        socket
    }

    pub async fn say(&mut self, message: Value) {
        self.raw(Message::text(message.to_string())).await;
    }

    pub async fn raw(&mut self, message: Message) {
        self.try_raw(message).await.unwrap();
    }

    /// Fails when the connection was closed.
    pub async fn try_raw(&mut self, message: Message) -> Result<(), tungstenite::Error> {
        self.0.send(message).await
    }

    /// Reads on until the server hangs up; gives back the close code, if it sent one.
    pub async fn goodbye(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some(Ok(message)) = self.0.next().await {
            if let Message::Close(frame) = message {
                code = frame.map(|frame| frame.code.into());
            }
        }
        code
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        self.say(json!({"type": "subscribe", "id": id, "payload": {"query": query, "variables": variables}})).await;
    }

    pub async fn hear(&mut self) -> Heard {
        // Pings go on also where nothing is said.
        let hearing = async {
            loop {
                match self.0.next().await.expect("the connection is still open").unwrap() {
                    Message::Text(text) => return Heard::Json(serde_json::from_str(&text).unwrap()),
                    Message::Close(frame) => return Heard::Closed(frame.map_or(0, |frame| frame.code.into())),
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, hearing).await.expect("the server says nothing")
    }

    pub async fn json(&mut self) -> Value {
        match self.hear().await {
            Heard::Json(value) => value,
            Heard::Closed(code) => panic!("closed with {code}"),
        }
    }

    pub async fn close_code(&mut self) -> u16 {
        loop {
            if let Heard::Closed(code) = self.hear().await {
                return code;
            }
        }
    }

    /// The payload of the next message, which has to be a `next` of operation `id`.
    pub async fn next(&mut self, id: &str) -> Value {
        let message = self.json().await;
        assert_eq!((message["type"].as_str(), message["id"].as_str()), (Some("next"), Some(id)), "{message}");
        message["payload"].clone()
    }
}

/// Where backups are kept below `directory`.
pub fn repository(directory: &Path) -> Repository {
    Repository::open(&RepositoryUrl::directory(directory.join("backups")), &[]).unwrap()
}
