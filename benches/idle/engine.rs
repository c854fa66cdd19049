//! An engine that has what it is told and answers at once: lists, inspections, one stream of events in which nothing happens,
//! and commands that succeed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use project_services::catalog;
use project_services::domain::service::{Power, ServiceKind, SizeTier, Wish};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};

use crate::fill::{Instance, Instances};

pub const IMAGE: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
pub const STARTED: &str = "2026-11-01T00:00:00.123456789Z";

pub struct Engine {
    socket: PathBuf,
    calls: Arc<AtomicU64>,
    /// Its own, so that all its connections end with it.
    runtime: Option<Runtime>,
}

struct Answers {
    containers: Bytes,
    volumes: Bytes,
    networks: Bytes,
    installation: String,
    runs: std::collections::HashMap<String, (String, bool)>,
}

impl Engine {
    pub fn start(socket: &Path, instances: Instances) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let calls = Arc::<AtomicU64>::default();
        let answers = Arc::new(Answers::new(&instances));
        let counted = Arc::clone(&calls);
        let router = Router::new().fallback(move |request: Request| {
            counted.fetch_add(1, Ordering::Relaxed);
            let answers = Arc::clone(&answers);
            async move { answers.answer(request).await }
        });
        let path = socket.to_owned();
        runtime.spawn(async move { axum::serve(UnixListener::bind(path).unwrap(), router).await.unwrap() });
        Self { socket: socket.to_owned(), calls, runtime: Some(runtime) }
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// How many calls it has taken.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Nobody answers any more, and what was open is cut.
    pub fn stop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

fn labels(installation: &str, instance: &str, project: &str) -> Value {
    json!({
        "dev.project-services.installation": installation,
        "dev.project-services.instance": instance,
        "dev.project-services.project": project,
        "dev.project-services.storage-mib": "1024",
        "dev.project-services.tier": "DEV",
    })
}

impl Answers {
    fn new(Instances { installation, all }: &Instances) -> Self {
        let installation = installation.to_string();
        let container = |Instance { id, project, runs }: &Instance| {
            let id = id.to_string();
            json!({
                "Id": id, "Names": [format!("/{id}")], "Image": "redis:7", "ImageID": IMAGE,
                "Command": "docker-entrypoint.sh redis-server /data/redis.conf", "Created": 1_793_500_000, "Ports": [],
                "Labels": labels(&installation, &id, project),
                "State": if *runs { "running" } else { "exited" },
                "Status": if *runs { "Up 3 weeks (healthy)" } else { "Exited (0) 3 weeks ago" },
                "HostConfig": {"NetworkMode": format!("project-{project}")},
                "NetworkSettings": {"Networks": networks(project)},
                "Mounts": [{"Type": "volume", "Name": id, "Source": "", "Destination": "/data", "Driver": "local",
                    "Mode": "z", "RW": true, "Propagation": ""}],
            })
        };
        let volume = |Instance { id, project, .. }: &Instance| {
            json!({"CreatedAt": STARTED, "Driver": "local", "Labels": labels(&installation, &id.to_string(), project),
                "Mountpoint": format!("/var/lib/docker/volumes/{id}/_data"), "Name": id.to_string(), "Options": null,
                "Scope": "local"})
        };
        let mut projects: Vec<_> = all.iter().map(|instance| instance.project.as_str()).collect();
        projects.dedup();
        let network = |project: &str| {
            json!({"Name": format!("project-{project}"), "Id": project, "Created": STARTED, "Scope": "local",
                "Driver": "bridge", "EnableIPv6": false, "IPAM": {"Driver": "default", "Config": []}, "Internal": true,
                "Labels": {"dev.project-services.installation": installation, "dev.project-services.project": project}})
        };
        Self {
            containers: Bytes::from(Value::from_iter(all.iter().map(container)).to_string()),
            volumes: Bytes::from(json!({"Volumes": Value::from_iter(all.iter().map(volume))}).to_string()),
            networks: Bytes::from(Value::from_iter(projects.into_iter().map(network)).to_string()),
            runs: all.iter().map(|of| (of.id.to_string(), (of.project.clone(), of.runs))).collect(),
            installation,
        }
    }

    async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        let words: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let json = |bytes: &Bytes| ([(header::CONTENT_TYPE, "application/json")], bytes.clone()).into_response();
        match words.as_slice() {
            ["_ping"] => "OK".into_response(),
            ["version"] => axum::Json(json!({"ApiVersion": "1.51"})).into_response(),
            ["info"] => axum::Json(json!({})).into_response(),
            ["events"] => {
                Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>()).into_response()
            }
            ["containers", "json"] if request.uri().query().is_none_or(|query| !query.contains("instance")) => {
                json(&self.containers)
            }
            ["containers", "json"] => json(&Bytes::from_static(b"[]")),
            ["volumes"] => json(&self.volumes),
            ["networks"] => json(&self.networks),
            ["images", .., "json"] => axum::Json(json!({"Id": IMAGE})).into_response(),
            ["containers", id, "json"] => self.container(id),
            ["containers", _, "stats"] => stats(),
            ["containers", _, "exec"] => {
                let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
                let is_gauge = String::from_utf8_lossy(&body).contains("\"gauge\"");
                axum::Json(json!({"Id": if is_gauge { "gauge" } else { "command" }})).into_response()
            }
            ["exec", _, "json"] => axum::Json(json!({"Running": false, "ExitCode": 0})).into_response(),
            ["exec", what, "start"] => begun(request, *what == "gauge"),
            ["volumes", id] if self.runs.contains_key(*id) => {
                let labels = labels(&self.installation, id, &self.runs[*id].0);
                axum::Json(json!({"Name": id, "Driver": "local", "Mountpoint": "/", "Labels": labels, "Options": null,
                    "Scope": "local", "CreatedAt": STARTED}))
                .into_response()
            }
            _ => (StatusCode::NOT_FOUND, axum::Json(json!({"message": "No such thing"}))).into_response(),
        }
    }

    fn container(&self, id: &str) -> Response {
        let Some((project, runs)) = self.runs.get(id) else {
            return (StatusCode::NOT_FOUND, axum::Json(json!({"message": "No such container"}))).into_response();
        };
        let tier = catalog::definition(ServiceKind::Redis).offer.as_ref().unwrap().tier(SizeTier::Dev).unwrap();
        let wish = Wish { kind: ServiceKind::Redis, version: "7".to_owned(), tier, power: Power::On };
        let limits = catalog::limits(&wish).unwrap();
        axum::Json(json!({
            "Id": id, "Name": format!("/{id}"), "Image": IMAGE, "Created": STARTED,
            "State": {"Status": if *runs { "running" } else { "exited" }, "Running": runs, "StartedAt": STARTED,
                "FinishedAt": STARTED, "ExitCode": 0, "OOMKilled": false,
                "Health": {"Status": if *runs { "healthy" } else { "unhealthy" }, "FailingStreak": 0, "Log": []}},
            "HostConfig": {"Memory": limits.memory_bytes, "MemorySwap": limits.memory_and_swap_bytes,
                "NanoCpus": limits.cpu_nanos, "PidsLimit": limits.pids,
                "RestartPolicy": {"Name": if *runs { "always" } else { "no" }}},
            "Config": {"Labels": labels(&self.installation, id, project), "Image": "redis:7"},
            "NetworkSettings": {"Ports": {}, "Networks": networks(project)},
        }))
        .into_response()
    }
}

fn networks(project: &str) -> Value {
    json!({format!("project-{project}"): {"NetworkID": project, "EndpointID": "e", "Gateway": "10.0.0.1",
        "IPAddress": "10.0.0.2", "IPPrefixLen": 24, "Aliases": ["redis"], "DNSNames": ["redis"]}})
}

fn stats() -> Response {
    axum::Json(json!({"read": Timestamp::now().to_string(), "cpu_stats": {"cpu_usage": {"total_usage": 1_000_000}},
        "memory_stats": {"usage": 10_000_000, "stats": {}}}))
    .into_response()
}

/// A command that says where its data is and ends, or a gauge.
fn begun(mut request: Request, is_gauge: bool) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let mut stream = TokioIo::new(upgraded);
        if !is_gauge {
            let _ = stream.write_all(&framed("1234\t/data\n")).await;
            return;
        }
        let mut asked = [0; 64];
        while stream.read(&mut asked).await.is_ok_and(|read| read > 0) {
            if stream.write_all(&framed("14162974 66053021 4096 38608\t/data\n")).await.is_err() {
                return;
            }
        }
    });
    let upgrade = [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "tcp")];
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    for (name, value) in upgrade {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// As the engine puts a command's output (API, "Attach to a container", stream format).
fn framed(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or_default().to_be_bytes();
    [&[1, 0, 0, 0], length.as_slice(), text.as_bytes()].concat()
}
