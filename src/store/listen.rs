//! PostgreSQL's LISTEN and NOTIFY: how replicas hear of each other's commits. What is missed costs time only.
//!
//! Nobody asks for news while the connection tells of them, so it has to be known whether it does: it is tried once by a word
//! of our own, for a pooler may lend the session that listens to others; and the system tells when the other side is gone.

use std::time::Duration;

use futures_util::Stream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use super::Notice;
use crate::domain::id::{ProjectId, ServiceId};

pub const CHANNEL: &str = "project_services";

/// Between a connection that was lost or refused and the next try.
const PAUSE: Duration = Duration::from_millis(500);

/// Notices that may wait to be taken. When there are more the connection is made anew, and what they told of is looked for.
const WAITING: usize = 1024;

/// How late a change of another replica's may be found while nothing tells of it.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// For our own word to come back.
const ECHO: Duration = Duration::from_secs(2);

/// How long the connection is silent before the system asks whether the other side is there, and between two such questions.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Questions without an answer after which the connection is lost.
const KEEPALIVES: u32 = 3;

pub fn payload(project: &ProjectId, service: ServiceId) -> String {
    format!("{project} {service}")
}

fn parse(payload: &str) -> Option<Notice> {
    let (project, service) = payload.split_once(' ')?;
    Some(Notice::Changed { project: project.parse().ok()?, service: service.parse().ok()? })
}

/// What the others change, on a connection that is made anew whenever it is lost.
pub fn notices(mut config: Config, tls: MakeRustlsConnect) -> impl Stream<Item = Notice> {
    config.keepalives(true).keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE).keepalives_retries(KEEPALIVES);
    async_stream::stream! {
        let mut looked = Instant::now();
        loop {
            match follow(&config, tls.clone()).await {
                Ok(mut following) => {
                    yield Notice::Connected;
                    loop {
                        let notice = tokio::select! {
                            notice = following.notices.recv() => notice,
                            () = sleep(LOOK_INTERVAL), if !following.is_told => Some(Notice::Connected),
                        };
                        match notice {
                            Some(notice) => yield notice,
                            None => break,
                        }
                    }
                    looked = Instant::now();
                    tracing::info!("The connection that tells of other replicas' changes was lost");
                }
                Err(error) => {
                    tracing::debug!(%error, "Other replicas' changes can't be followed");
                    if looked.elapsed() >= LOOK_INTERVAL {
                        looked = Instant::now();
                        yield Notice::Connected;
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }
}

struct Following {
    notices: mpsc::Receiver<Notice>,
    /// Whether what is notified comes back.
    is_told: bool,
    /// The connection lasts as long as its client.
    _client: Client,
}

async fn follow(config: &Config, tls: MakeRustlsConnect) -> Result<Following, tokio_postgres::Error> {
    let (client, mut connection) = config.connect(tls).await?;
    let (sender, receiver) = mpsc::channel(WAITING);
    // No other replica takes it for a notice.
    let word = Uuid::now_v7().simple().to_string();
    let (echo, echoed) = oneshot::channel();
    let awaited = word.clone();
    tokio::spawn(async move {
        let mut echo = Some(echo);
        loop {
            let message = tokio::select! {
                message = std::future::poll_fn(|cx| connection.poll_message(cx)) => message,
                () = sender.closed() => return,
            };
            match message {
                Some(Ok(AsyncMessage::Notification(notification))) if notification.payload() == awaited => {
                    echo.take().map(|echo| echo.send(()));
                }
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    if let Some(notice) = parse(notification.payload())
                        && sender.try_send(notice).is_err()
                    {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    });
    client.batch_execute(&format!("LISTEN {CHANNEL}; SELECT pg_notify('{CHANNEL}', '{word}')")).await?;
    let is_told = matches!(timeout(ECHO, echoed).await, Ok(Ok(())));
    if !is_told {
        tracing::warn!("PostgreSQL does not tell of other replicas' changes on this connection; they are looked for");
    }
    Ok(Following { notices: receiver, is_told, _client: client })
}
